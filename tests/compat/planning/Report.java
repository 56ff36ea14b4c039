package tidewater.planning;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import java.io.PrintStream;
import java.util.Map;
import java.util.TreeMap;

/** Counts what was compared and what differs, and writes each difference as a line of JSON. */
final class Report {
  private static final ObjectMapper JSON = new ObjectMapper();

  private final PrintStream differences;
  private final Map<String, Long> counts = new TreeMap<>();
  private final Map<String, Long> kinds = new TreeMap<>();

  Report(PrintStream differences) {
    this.differences = differences;
  }

  void count(String what, long number) {
    counts.merge(what, number, Long::sum);
  }

  /**
   * Records a difference.
   *
   * @param kind names the difference; the driver decides which kinds are accepted
   * @param table the table's name
   * @param request the body of the request
   * @param detail the file and what is different
   */
  void differs(String kind, String table, ObjectNode request, String detail) {
    kinds.merge(kind, 1L, Long::sum);
    ObjectNode line = JSON.createObjectNode().put("kind", kind).put("table", table).put("detail", detail);
    line.set("request", request);
    differences.println(line);
    differences.flush();
  }

  ObjectNode sum() {
    ObjectNode sum = JSON.createObjectNode();
    sum.set("counts", JSON.valueToTree(counts));
    sum.set("differences", JSON.valueToTree(kinds));
    return sum;
  }
}
