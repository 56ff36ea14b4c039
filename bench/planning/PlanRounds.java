package tidewater.planning;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.io.IOException;
import java.util.Map;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.StaticTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.expressions.Expression;
import org.apache.iceberg.expressions.ExpressionParser;
import org.apache.iceberg.io.CloseableIterable;
import org.apache.iceberg.rest.RESTCatalog;

/**
 * Measures planning in one warm process: {@code PlanRounds SETTINGS}, a JSON object with {@code filter}, {@code rounds}, {@code seconds}
 * (no round begins later) and {@code metadata} (plans alone) or {@code uri}, {@code token}, {@code warehouse}, {@code namespace} and
 * {@code table} (the server plans). Prints the number of files, the seconds of the first
 * round, and those of each later one.
 */
public final class PlanRounds {
  private static final ObjectMapper JSON = new ObjectMapper();

  private PlanRounds() {}

  public static void main(String[] arguments) throws IOException {
    JsonNode settings = JSON.readTree(arguments[0]);
    Expression filter = ExpressionParser.fromJson(settings.get("filter").toString());
    Table table = settings.has("metadata") ? alone(settings) : withServer(settings);
    long began = System.nanoTime();
    var seconds = JSON.createArrayNode();
    long files = plan(table, filter);
    double first = (System.nanoTime() - began) / 1e9;
    for (int round = 0; round < settings.get("rounds").asInt(); round++) {
      long begin = System.nanoTime();
      files = plan(table, filter);
      seconds.add((System.nanoTime() - begin) / 1e9);
      if ((System.nanoTime() - began) / 1e9 > settings.get("seconds").asDouble()) {
        break;
      }
    }
    System.out.println(JSON.createObjectNode().put("files", files).put("first", first).set("seconds", seconds));
    // Ends the threads of the client and of the planner.
    System.exit(0);
  }

  private static Table alone(JsonNode settings) {
    return new BaseTable(new StaticTableOperations(settings.get("metadata").asText(), new LocalIO()), "large");
  }

  private static Table withServer(JsonNode settings) {
    RESTCatalog catalog = new RESTCatalog();
    catalog.initialize(
        "bench",
        Map.of(
            "uri", settings.get("uri").asText(), "token", settings.get("token").asText(), "warehouse", settings.get("warehouse").asText(),
            "io-impl", LocalIO.class.getName(), "scan-planning-mode", "server", "rest-metrics-reporting-enabled", "false"));
    return catalog.loadTable(TableIdentifier.of(Namespace.of(settings.get("namespace").asText()), settings.get("table").asText()));
  }

  private static long plan(Table table, Expression filter) throws IOException {
    long files = 0;
    try (CloseableIterable<FileScanTask> tasks = table.newScan().filter(filter).planFiles()) {
      for (FileScanTask task : tasks) {
        files += task.filesCount() > 0 ? 1 : 0;
      }
    }
    return files;
  }
}
