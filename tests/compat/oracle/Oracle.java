package tidewater.oracle;

import com.fasterxml.jackson.annotation.JsonAutoDetect;
import com.fasterxml.jackson.annotation.PropertyAccessor;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.PropertyNamingStrategies;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.List;
import java.util.Optional;
import org.apache.iceberg.MetadataUpdate;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.TableMetadataParser;
import org.apache.iceberg.rest.RESTSerializers;
import org.apache.iceberg.rest.requests.CreateTableRequest;
import org.apache.iceberg.rest.requests.CreateViewRequest;
import org.apache.iceberg.rest.requests.UpdateTableRequest;
import org.apache.iceberg.view.ImmutableViewVersion;
import org.apache.iceberg.view.ViewMetadata;
import org.apache.iceberg.view.ViewMetadataParser;

/**
 * Runs Iceberg's own classes on metadata: reads one request for each line of standard input, and writes one answer for each
 * line of standard output, both JSON. Documents and request bodies are strings in it, so they may be invalid JSON too.
 *
 * <p>A request has <code>op</code>, <code>base</code> (a document; only for commits), <code>input</code> (a document or the
 * body of a REST request) and <code>location</code> (only for a new table or view without one). An answer has <code>ok</code>,
 * a document as Iceberg writes it, or <code>error</code> with the <code>phase</code> that failed.
 */
public class Oracle {
  private static final ObjectMapper LINES = new ObjectMapper();
  private static final ObjectMapper REST = restMapper();

  private Oracle() {}

  public static void main(String[] arguments) throws Exception {
    PrintStream answers = new PrintStream(System.out, false, StandardCharsets.UTF_8);
    // Libraries must not print between two answers.
    System.setOut(System.err);
    BufferedReader requests = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
    for (String line = requests.readLine(); line != null; line = requests.readLine()) {
      answers.println(LINES.writeValueAsString(answer(line)));
      answers.flush();
    }
  }

  private static ObjectNode answer(String line) {
    ObjectNode answer = LINES.createObjectNode();
    String[] phase = {"request"};
    try {
      answer.put("ok", document(LINES.readTree(line), phase));
    } catch (Throwable failure) {
      // Includes errors of the virtual machine: a stack overflow in this request must not affect the next one.
      answer.put("error", failure.getClass().getSimpleName() + ": " + failure.getMessage());
      answer.put("phase", phase[0]);
    }
    return answer;
  }

  private static String document(JsonNode request, String[] phase) throws Exception {
    String input = request.get("input").asText();
    String location = request.path("location").asText(null);
    switch (request.get("op").asText()) {
      case "table":
        phase[0] = "parse";
        return TableMetadataParser.toJson(TableMetadataParser.fromJson(input));
      case "commit":
        phase[0] = "base";
        TableMetadata table = TableMetadataParser.fromJson(request.get("base").asText());
        return commit(TableMetadata.buildFrom(table), null, input, phase);
      case "create-commit":
        return commit(null, location, input, phase);
      case "create":
        return create(input, location, phase);
      case "view":
        phase[0] = "parse";
        return ViewMetadataParser.toJson(ViewMetadataParser.fromJson(input));
      case "view-commit":
        phase[0] = "base";
        return commitView(ViewMetadataParser.fromJson(request.get("base").asText()), input, phase);
      case "create-view":
        return createView(input, location, phase);
      default:
        throw new IllegalArgumentException("unknown op");
    }
  }

  /** Applies the updates to a table or, without a builder, to a new one, like a server of the reference implementation. */
  private static String commit(TableMetadata.Builder known, String location, String body, String[] phase)
      throws Exception {
    phase[0] = "parse";
    List<MetadataUpdate> updates = REST.readValue(body, UpdateTableRequest.class).updates();
    phase[0] = "apply";
    TableMetadata.Builder builder = known == null ? empty(updates, location) : known;
    updates.forEach(update -> update.applyTo(builder));
    phase[0] = "build";
    return readBack(builder.build(), phase);
  }

  private static TableMetadata.Builder empty(List<MetadataUpdate> updates, String location) {
    Optional<Integer> version =
        updates.stream()
            .filter(update -> update instanceof MetadataUpdate.UpgradeFormatVersion)
            .map(update -> ((MetadataUpdate.UpgradeFormatVersion) update).formatVersion())
            .findFirst();
    TableMetadata.Builder builder =
        version.map(TableMetadata::buildFromEmpty).orElseGet(TableMetadata::buildFromEmpty);
    return updates.stream().anyMatch(update -> update instanceof MetadataUpdate.SetLocation)
        ? builder
        : builder.setLocation(location);
  }

  private static String create(String body, String location, String[] phase) throws Exception {
    phase[0] = "parse";
    CreateTableRequest request = REST.readValue(body, CreateTableRequest.class);
    request.validate();
    phase[0] = "build";
    TableMetadata table =
        TableMetadata.newTableMetadata(
            request.schema(),
            request.spec() == null ? PartitionSpec.unpartitioned() : request.spec(),
            request.writeOrder() == null ? SortOrder.unsorted() : request.writeOrder(),
            request.location() == null ? location : request.location(),
            request.properties());
    return readBack(table, phase);
  }

  /** Returns the document as a client reads and writes it, after the server has stored it. */
  private static String readBack(TableMetadata table, String[] phase) {
    phase[0] = "write";
    String json = TableMetadataParser.toJson(table);
    phase[0] = "readback";
    return TableMetadataParser.toJson(TableMetadataParser.fromJson(json));
  }

  private static String commitView(ViewMetadata base, String body, String[] phase) throws Exception {
    phase[0] = "parse";
    List<MetadataUpdate> updates = REST.readValue(body, UpdateTableRequest.class).updates();
    phase[0] = "apply";
    ViewMetadata.Builder builder = ViewMetadata.buildFrom(base);
    updates.forEach(update -> update.applyTo(builder));
    phase[0] = "build";
    return readBack(builder.build(), phase);
  }

  /** Creates a view like a server, but keeps the client's time and summary. */
  private static String createView(String body, String location, String[] phase) throws Exception {
    phase[0] = "parse";
    CreateViewRequest request = REST.readValue(body, CreateViewRequest.class);
    request.validate();
    phase[0] = "build";
    ViewMetadata view =
        ViewMetadata.builder()
            .setProperties(request.properties())
            .setLocation(request.location() == null ? location : request.location())
            .setCurrentVersion(
                ImmutableViewVersion.builder()
                    .from(request.viewVersion())
                    .versionId(1)
                    .schemaId(request.schema().schemaId())
                    .build(),
                request.schema())
            .build();
    return readBack(view, phase);
  }

  private static String readBack(ViewMetadata view, String[] phase) {
    phase[0] = "write";
    String json = ViewMetadataParser.toJson(view);
    phase[0] = "readback";
    return ViewMetadataParser.toJson(ViewMetadataParser.fromJson(json));
  }

  /** Returns a mapper with the settings of the reference implementation's, which is private to its package. */
  private static ObjectMapper restMapper() {
    ObjectMapper mapper = new ObjectMapper();
    mapper.setVisibility(PropertyAccessor.FIELD, JsonAutoDetect.Visibility.ANY);
    mapper.configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false);
    mapper.setPropertyNamingStrategy(new PropertyNamingStrategies.KebabCaseStrategy());
    RESTSerializers.registerAll(mapper);
    return mapper;
  }
}
