package tidewater.planning;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.iceberg.DataFile;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.ExpressionParser;
import org.apache.iceberg.rest.responses.FetchScanTasksResponseParser;
import org.apache.iceberg.rest.responses.PlanTableScanResponseParser;

/** A planned file with its deletes, and the residual exactly as the planner gave it. */
record Answer(DataFile file, List<DeleteFile> deletes, Expression residual) {
  static Answer of(FileScanTask task) {
    return new Answer(task.file(), task.deletes(), task.residual());
  }

  /** A server whose answers are read without Iceberg's client, so that the residuals are seen before the client simplifies them. */
  static final class Server {
    private static final ObjectMapper JSON = new ObjectMapper();
    private static final Duration DEADLINE = Duration.ofSeconds(60);

    private final HttpClient client = HttpClient.newBuilder().version(HttpClient.Version.HTTP_1_1).build();
    private final String base;
    private final String token;

    /** {@code base} is the address of the namespace. */
    Server(String base, String token) {
      this.base = base;
      this.token = token;
    }

    /** An answer that is not a success. */
    static final class Refused extends IOException {
      final int status;

      Refused(int status, String body) {
        super(status + " " + body);
        this.status = status;
      }
    }

    JsonNode post(String path, JsonNode body) throws IOException, InterruptedException {
      HttpRequest request =
          HttpRequest.newBuilder(URI.create(base + path))
              .header("Authorization", "Bearer " + token)
              .header("Content-Type", "application/json")
              .timeout(DEADLINE)
              .POST(HttpRequest.BodyPublishers.ofString(body.toString()))
              .build();
      HttpResponse<String> response = client.send(request, HttpResponse.BodyHandlers.ofString());
      if (response.statusCode() != 200) {
        throw new Refused(response.statusCode(), response.body());
      }
      return JSON.readTree(response.body());
    }

    /** Plans a scan and fetches all its tasks. */
    List<Answer> plan(String table, ObjectNode request, Map<Integer, PartitionSpec> specs) throws IOException, InterruptedException {
      JsonNode plan = post("/tables/" + table + "/plan", request);
      if (!plan.path("status").asText().equals("completed")) {
        throw new IOException("the plan's status is " + plan.path("status"));
      }
      boolean caseSensitive = request.path("case-sensitive").asBoolean(true);
      List<Answer> answers = read(plan, PlanTableScanResponseParser.fromJson(plan, specs, caseSensitive).fileScanTasks());
      for (JsonNode task : plan.path("plan-tasks")) {
        JsonNode fetched = post("/tables/" + table + "/tasks", JSON.createObjectNode().set("plan-task", task));
        if (!fetched.path("plan-tasks").isEmpty()) {
          throw new IOException("a task gave more tasks, which DuckDB cannot follow");
        }
        answers.addAll(read(fetched, FetchScanTasksResponseParser.fromJson(fetched, specs, caseSensitive).fileScanTasks()));
      }
      return answers;
    }

    private static List<Answer> read(JsonNode response, List<FileScanTask> tasks) {
      List<Answer> answers = new ArrayList<>();
      JsonNode plain = response.path("file-scan-tasks");
      for (int index = 0; index < plain.size(); index++) {
        JsonNode residual = plain.get(index).get("residual-filter");
        if (residual == null) {
          throw new IllegalArgumentException("a task has no residual-filter");
        }
        FileScanTask task = tasks.get(index);
        answers.add(new Answer(task.file(), task.deletes(), ExpressionParser.fromJson(residual)));
      }
      return answers;
    }
  }
}
