package tidewater.planning;

import java.io.IOException;
import java.io.UncheckedIOException;
import java.net.URI;
import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.iceberg.io.FileIO;
import org.apache.iceberg.io.InputFile;
import org.apache.iceberg.io.OutputFile;
import org.apache.iceberg.io.PositionOutputStream;
import org.apache.iceberg.io.SeekableInputStream;

/** Reads and writes files of this machine without Hadoop. The REST client loads it by name. */
public class LocalIO implements FileIO {
  @Override
  public InputFile newInputFile(String location) {
    return new NamedInput(location);
  }

  @Override
  public OutputFile newOutputFile(String location) {
    return new Named(location);
  }

  @Override
  public void deleteFile(String location) {
    try {
      Files.deleteIfExists(path(location));
    } catch (IOException error) {
      throw new UncheckedIOException(error);
    }
  }

  static Path path(String location) {
    return location.startsWith("file:") ? Path.of(URI.create(location)) : Path.of(location);
  }

  /** An input file that keeps its location as a URI. */
  private record NamedInput(String location) implements InputFile {
    private InputFile file() {
      return org.apache.iceberg.Files.localInput(path(location).toFile());
    }

    @Override
    public long getLength() {
      return file().getLength();
    }

    @Override
    public SeekableInputStream newStream() {
      return file().newStream();
    }

    @Override
    public boolean exists() {
      return file().exists();
    }
  }

  /** An output file that keeps its location as a URI, since the location is written into metadata. */
  private record Named(String location) implements OutputFile {
    private OutputFile file() {
      return org.apache.iceberg.Files.localOutput(path(location).toFile());
    }

    @Override
    public PositionOutputStream create() {
      return file().create();
    }

    @Override
    public PositionOutputStream createOrOverwrite() {
      return file().createOrOverwrite();
    }

    @Override
    public InputFile toInputFile() {
      return new NamedInput(location);
    }
  }
}
