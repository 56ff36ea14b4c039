package tidewater.rck;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.UUID;
import org.apache.iceberg.HasTableOperations;
import org.apache.iceberg.Table;
import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.exceptions.BadRequestException;
import org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

/**
 * The kit's tests of a catalog, including those that are off by default because not every catalog supports them: nested
 * namespaces, names with slashes, and a separate location for each table. Adds tests that the kit does not have: names with
 * spaces and plus signs, which different client releases encode differently in a path, and a format version that is not adopted.
 */
public class EveryNameCatalogTests extends RESTCompatibilityKitCatalogTests {
  private static final Namespace NESTED = Namespace.of("parent");

  @AfterEach
  void dropNested() {
    if (catalog().namespaceExists(NESTED)) {
      catalog().listNamespaces(NESTED).forEach(catalog()::dropNamespace);
      catalog().dropNamespace(NESTED);
    }
  }

  @Override
  protected boolean supportsNestedNamespaces() {
    return true;
  }

  @Override
  protected boolean supportsNamesWithSlashes() {
    return true;
  }

  /** Returns a location below the warehouse's root. The kit's own locations are below /tmp, whatever the warehouse. */
  @Override
  protected String baseTableLocation(TableIdentifier identifier) {
    return "file:" + System.getProperty("java.io.tmpdir") + "/" + identifier.namespace() + "/" + identifier.name();
  }

  /** Enables a test that is disabled in the kit. */
  @Test
  @Override
  public void createTableInUniqueLocation() {
    super.createTableInUniqueLocation();
  }

  @ParameterizedTest
  @ValueSource(strings = {"two words", "a+b", "a + b", "100% é"})
  public void nameInPathIsFoundAsItWasCreated(String name) {
    TableIdentifier table = TableIdentifier.of(Namespace.of(name), name);
    TableIdentifier renamed = TableIdentifier.of(table.namespace(), name + " 2");
    catalog().createNamespace(table.namespace());
    catalog().buildTable(table, SCHEMA).create();
    catalog().loadTable(table).updateProperties().set("a", "b").commit();
    assertThat(catalog().loadTable(table).properties()).containsEntry("a", "b");
    assertThat(catalog().listTables(table.namespace())).containsExactly(table);
    catalog().renameTable(table, renamed);
    assertThat(catalog().tableExists(table)).isFalse();
    assertThat(catalog().dropTable(renamed)).isTrue();
    assertThat(catalog().dropNamespace(table.namespace())).isTrue();
  }

  @Test
  public void tableOfFormatVersion4IsNotCreated() {
    catalog().createNamespace(TABLE.namespace());
    assertThatThrownBy(() -> catalog().buildTable(TABLE, SCHEMA).withProperty("format-version", "4").create())
        .isInstanceOf(BadRequestException.class)
        .hasMessageContaining("Unsupported format version: v4");
    assertThat(catalog().tableExists(TABLE)).isFalse();
  }

  @Test
  public void tableIsNotUpgradedToFormatVersion4() {
    catalog().createNamespace(TABLE.namespace());
    Table table = catalog().buildTable(TABLE, SCHEMA).create();
    assertThatThrownBy(() -> table.updateProperties().set("format-version", "4").commit())
        .isInstanceOf(BadRequestException.class)
        .hasMessageContaining("Unsupported format version: v4");
    assertThat(((HasTableOperations) catalog().loadTable(TABLE)).operations().current().formatVersion()).isEqualTo(2);
  }

  @Test
  public void documentOfFormatVersion4IsNotRegistered() throws IOException {
    catalog().createNamespace(TABLE.namespace());
    Table table = catalog().buildTable(TABLE, SCHEMA).create();
    String known = ((HasTableOperations) table).operations().current().metadataFileLocation();
    Path document = Path.of(known.replaceFirst("^file:/+", "/"));
    String text = Files.readString(document).replaceFirst("\"format-version\" *: *2", "\"format-version\":4");
    Path newer = document.resolveSibling("00000-" + UUID.randomUUID() + ".metadata.json");
    Files.writeString(newer, text);
    assertThat(catalog().dropTable(TABLE, false)).isTrue();
    assertThatThrownBy(() -> catalog().registerTable(TABLE, newer.toUri().toString()))
        .isInstanceOf(BadRequestException.class)
        .hasMessageContaining("unsupported version 4");
    assertThat(Files.exists(newer)).isTrue();
  }
}
