import io.trino.server.Server;

/** Starts Trino's server in the version of the first argument, like the launcher of a release. */
public final class Start {
    private Start() {}

    public static void main(String[] arguments) {
        new Server().start(arguments[0]);
    }
}
