package tidewater.planning;

import java.util.Map;
import org.apache.iceberg.BaseMetastoreTableOperations;
import org.apache.iceberg.BaseTable;
import org.apache.iceberg.PartitionSpec;
import org.apache.iceberg.Schema;
import org.apache.iceberg.SortOrder;
import org.apache.iceberg.TableMetadata;
import org.apache.iceberg.io.FileIO;

/** A table of this process. Its files are on local disk, and only this object knows the current metadata document. */
final class LocalTable extends BaseMetastoreTableOperations {
  private final FileIO io = new LocalIO();
  private final String name;
  private String pointer;

  private LocalTable(String name) {
    this.name = name;
  }

  static BaseTable create(String name, String location, Schema schema, PartitionSpec spec, Map<String, String> properties) {
    LocalTable operations = new LocalTable(name);
    operations.commit(null, TableMetadata.newTableMetadata(schema, spec, SortOrder.unsorted(), location, properties));
    return new BaseTable(operations, name);
  }

  @Override
  protected String tableName() {
    return name;
  }

  @Override
  public FileIO io() {
    return io;
  }

  @Override
  protected void doRefresh() {
    if (pointer == null) {
      disableRefresh();
    } else {
      refreshFromMetadataLocation(pointer);
    }
  }

  @Override
  protected void doCommit(TableMetadata base, TableMetadata metadata) {
    pointer = writeNewMetadataIfRequired(base == null, metadata);
  }
}
