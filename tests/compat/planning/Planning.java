package tidewater.planning;

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.IOException;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Random;
import java.util.concurrent.TimeUnit;
import java.util.function.Predicate;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.DeleteFile;
import org.apache.iceberg.FileContent;
import org.apache.iceberg.FileScanTask;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.exceptions.ValidationException;
import org.apache.iceberg.rest.RESTCatalog;
import org.apache.iceberg.types.Type;

/**
 * Judges a server's scan planning. Makes random tables, registers them, and compares random scans: the server's answers as they are on
 * the wire, the plans of Iceberg's REST client with the server, and the plans of Iceberg's library alone.
 *
 * <p>The only argument is a JSON object: {@code folder} (a URI below the warehouse's root), {@code seed}, {@code tables}, {@code scans}
 * (for each table), {@code seconds} (the time after which no table is begun), {@code uri}, {@code token}, {@code warehouse}, {@code
 * namespace}, {@code base} (the address of the namespace), {@code output} (a folder). Prints one object with counts.
 */
public final class Planning {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final JsonNode settings;
  private final Report report;
  private final PrintStream scans;
  private final Answer.Server server;
  private final RESTCatalog client;

  private Planning(JsonNode settings) throws IOException {
    this.settings = settings;
    Path output = Path.of(text("output"));
    report = new Report(new PrintStream(Files.newOutputStream(output.resolve("differences.jsonl")), false, StandardCharsets.UTF_8));
    scans = new PrintStream(Files.newOutputStream(output.resolve("scans.jsonl")), false, StandardCharsets.UTF_8);
    server = new Answer.Server(text("base"), text("token"));
    client = new RESTCatalog();
    Map<String, String> properties = new HashMap<>();
    properties.put("uri", text("uri"));
    properties.put("token", text("token"));
    properties.put("warehouse", text("warehouse"));
    properties.put("io-impl", LocalIO.class.getName());
    properties.put("scan-planning-mode", "server");
    properties.put("rest-metrics-reporting-enabled", "false");
    client.initialize("judge", properties);
  }

  public static void main(String[] arguments) throws Exception {
    Planning planning = new Planning(JSON.readTree(arguments[0]));
    planning.run();
    System.out.println(planning.report.sum());
    planning.scans.close();
    planning.client.close();
  }

  private String text(String name) {
    return settings.get(name).asText();
  }

  private void run() throws Exception {
    long seed = settings.get("seed").asLong();
    long end = System.nanoTime() + TimeUnit.SECONDS.toNanos(settings.get("seconds").asLong());
    for (int number = 0; number < settings.get("tables").asInt() && System.nanoTime() < end; number++) {
      String name = "t" + seed + "_" + number;
      long own = seed * 1_000_003 + number;
      History.Made made = History.make(text("folder"), name, own);
      made.steps().forEach((step, times) -> report.count("step " + step, times));
      register(made.table());
      report.count("tables", 1);
      judge(made, new Values(new Random(own)));
    }
  }

  private void register(BaseTable table) throws IOException, InterruptedException {
    String location = table.operations().current().metadataFileLocation();
    server.post("/register", JSON.createObjectNode().put("name", table.name()).put("metadata-location", location));
  }

  private void judge(History.Made made, Values values) throws Exception {
    Judge judge = new Judge(report, made, values);
    Table remote = client.loadTable(TableIdentifier.of(Namespace.of(text("namespace")), made.table().name()));
    for (int number = 0; number < settings.get("scans").asInt(); number++) {
      judge(judge, made, remote, Scan.random(values, made));
    }
  }

  private void judge(Judge judge, History.Made made, Table remote, Scan scan) throws Exception {
    ObjectNode request = scan.request(made.table());
    report.count("scans", 1);
    List<Answer> expected = local(made, scan, request);
    if (expected == null && scan.isIncremental()) {
      return;
    }
    List<Answer> got;
    try {
      got = server.plan(made.table().name(), request, made.table().specs());
    } catch (Answer.Server.Refused refusal) {
      if (refusal.status == 406 && refusal.getMessage().contains("NaN cannot be written") && judge.hasNanPartition(scan)) {
        // JSON has no NaN, so the server leaves the plan to the client.
        report.count("plans that the server leaves to the client: NaN in a partition", 1);
      } else {
        report.differs("wire: refused", made.table().name(), request, refusal.getMessage());
      }
      return;
    } catch (IOException | RuntimeException error) {
      report.differs("wire: fails", made.table().name(), request, error.toString());
      return;
    }
    report.count("files", got.size());
    report.count("deletes", got.stream().mapToLong(answer -> answer.deletes().size()).sum());
    keep(made, request, got);
    judge.compare(scan, request, expected, got);
    // What the library cannot plan, such as some filters over transforms, its client cannot read either.
    if (!scan.isIncremental() && expected != null) {
      compareClient(judge, remote, scan, request, got);
    }
  }

  /** Plans with Iceberg's library. Returns null if it fails, as it does for some filters over null partitions. */
  private List<Answer> local(History.Made made, Scan scan, ObjectNode request) throws IOException {
    try {
      List<Answer> answers = new ArrayList<>();
      for (FileScanTask task : scan.plan(made.table())) {
        answers.add(Answer.of(task));
      }
      report.count("files of the library", answers.size());
      return answers;
    } catch (ValidationException | IllegalArgumentException | NullPointerException | ClassCastException error) {
      report.count("library fails: " + error.getClass().getSimpleName(), 1);
      return null;
    }
  }

  /** Plans with the REST client, and compares what it has read with the answer on the wire. */
  private void compareClient(Judge judge, Table remote, Scan scan, ObjectNode request, List<Answer> wire) {
    List<Answer> answers = new ArrayList<>();
    try {
      for (FileScanTask task : scan.plan(remote)) {
        answers.add(Answer.of(task));
      }
    } catch (IOException | RuntimeException error) {
      String kind = judge.hasOtherNames(scan, request) ? "client: fails over names of an older schema" : "client: fails";
      report.differs(kind, remote.name(), request, error.toString());
      return;
    }
    report.count("plans of the REST client", 1);
    judge.compareClient(scan, request, wire, answers);
  }

  /** Writes the scan for the other clients, with the answer on the wire. */
  private void keep(History.Made made, ObjectNode request, List<Answer> wire) {
    ObjectNode line = JSON.createObjectNode();
    line.put("table", made.table().name());
    line.put("metadata-location", ((BaseTable) made.table()).operations().current().metadataFileLocation());
    line.set("request", request);
    Predicate<DeleteFile> isEquality = delete -> delete.content() == FileContent.EQUALITY_DELETES;
    line.put("has-equality-deletes", wire.stream().flatMap(answer -> answer.deletes().stream()).anyMatch(isEquality));
    line.put("has-fixed-partition", hasFixedPartition(made.table()));
    ObjectNode files = line.putObject("files");
    for (Answer answer : wire) {
      ArrayNode deletes = files.putArray(answer.file().location());
      answer.deletes().forEach(delete -> deletes.add(delete.location()));
    }
    scans.println(line);
  }

  /** Returns whether a partition has values of a fixed type, before which the library writes their length into manifests. */
  private static boolean hasFixedPartition(Table table) {
    return table.specs().values().stream().flatMap(spec -> spec.fields().stream()).filter(field -> field.transform().isIdentity())
        .flatMap(field -> table.schemas().values().stream().map(schema -> schema.findField(field.sourceId())))
        .anyMatch(source -> source != null && source.type().typeId() == Type.TypeID.FIXED);
  }
}
