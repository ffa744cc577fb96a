import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.server.datanode.DataNode;
import org.apache.hadoop.hdfs.server.namenode.NameNode;
import org.apache.hadoop.metrics2.lib.DefaultMetricsSystem;

/** A NameNode and one DataNode in this process, on fixed ports of an address, until SIGTERM. */
public final class Hdfs {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]).toAbsolutePath();
        String address = arguments[1];
        int port = Integer.parseInt(arguments[2]);
        Files.createDirectories(folder);
        Configuration configuration = configuration(folder, address, port);
        // Two daemons count under the same names in one process.
        DefaultMetricsSystem.setMiniClusterMode(true);
        NameNode.format(configuration);
        NameNode names = NameNode.createNameNode(new String[0], configuration);
        // The NameNode gives it out by the address that it registers from: the cluster's own.
        DataNode data = DataNode.createDataNode(new String[0], configuration);
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            data.shutdown();
            names.stop();
        }));
        while (names.isInSafeMode()) {
            Thread.sleep(50);
        }
        System.out.println("ready hdfs://" + address + ":" + port);
        System.out.flush();
        Thread.currentThread().join();
    }

    private static Configuration configuration(Path folder, String address, int port) {
        Configuration configuration = new Configuration();
        configuration.set("fs.defaultFS", "hdfs://" + address + ":" + port);
        configuration.set("hadoop.tmp.dir", folder.resolve("tmp").toString());
        configuration.set("dfs.namenode.name.dir", folder.resolve("names").toUri().toString());
        configuration.set("dfs.namenode.http-address", address + ":" + (port + 4));
        configuration.setInt("dfs.namenode.safemode.min.datanodes", 1);
        configuration.setInt("dfs.namenode.safemode.extension", 0);
        configuration.set("dfs.datanode.data.dir", folder.resolve("data").toUri().toString());
        configuration.set("dfs.datanode.hostname", address);
        configuration.set("dfs.datanode.address", address + ":" + (port + 1));
        configuration.set("dfs.datanode.ipc.address", address + ":" + (port + 2));
        configuration.set("dfs.datanode.http.address", address + ":" + (port + 3));
        // No names are resolved here: a DataNode may come by its address alone.
        configuration.setBoolean("dfs.namenode.datanode.registration.ip-hostname-check", false);
        configuration.setBoolean("dfs.permissions.enabled", false);
        configuration.setInt("dfs.replication", 1);
        configuration.setInt("dfs.heartbeat.interval", 1);
        return configuration;
    }
}
