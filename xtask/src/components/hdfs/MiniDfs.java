import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A NameNode and one DataNode on fixed ports of an address, until SIGTERM. */
public final class MiniDfs {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]).toAbsolutePath();
        String address = arguments[1];
        int port = Integer.parseInt(arguments[2]);
        Files.createDirectories(folder);
        Configuration configuration = new Configuration();
        configuration.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, folder.toString());
        configuration.set("dfs.datanode.address", address + ":" + (port + 1));
        configuration.set("dfs.datanode.ipc.address", address + ":" + (port + 2));
        configuration.set("dfs.datanode.http.address", address + ":" + (port + 3));
        configuration.set("dfs.datanode.hostname", address);
        if (!address.startsWith("127.")) {
            // The cluster itself goes by the loopback, clients come in by the address.
            configuration.set("dfs.namenode.rpc-bind-host", "0.0.0.0");
        }
        configuration.setBoolean("dfs.permissions.enabled", false);
        configuration.setInt("dfs.replication", 1);
        configuration.setInt("dfs.heartbeat.interval", 1);
        configuration.setInt("dfs.namenode.safemode.extension", 0);
        MiniDFSCluster cluster = new MiniDFSCluster.Builder(configuration)
            .nameNodePort(port).nameNodeHttpPort(port + 4).numDataNodes(1)
            .format(true).manageDataDfsDirs(true)
            // Without it the DataNode's ports above are not used.
            .checkDataNodeAddrConfig(true)
            .waitSafeMode(true).build();
        cluster.waitActive();
        System.out.println("ready hdfs://127.0.0.1:" + cluster.getNameNodePort());
        System.out.flush();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> cluster.shutdown(false)));
        Thread.currentThread().join();
    }
}
