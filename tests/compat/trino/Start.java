import io.trino.server.Server;

/** Starts the server of Trino in the version that is named; a release has a launcher that does the same. */
public final class Start {
    private Start() {}

    public static void main(String[] arguments) {
        new Server().start(arguments[0]);
    }
}
