import java.nio.file.Files;
import java.nio.file.Path;
import org.apache.hadoop.conf.Configuration;
import org.apache.hadoop.hdfs.MiniDFSCluster;

/** A NameNode and one DataNode on fixed ports of the loopback, until SIGTERM. */
public final class MiniDfs {
    public static void main(String[] arguments) throws Exception {
        Path folder = Path.of(arguments[0]).toAbsolutePath();
        int port = Integer.parseInt(arguments[1]);
        Files.createDirectories(folder);
        Configuration configuration = new Configuration();
        configuration.set(MiniDFSCluster.HDFS_MINIDFS_BASEDIR, folder.toString());
        configuration.set("dfs.datanode.address", "127.0.0.1:" + (port + 1));
        configuration.set("dfs.datanode.ipc.address", "127.0.0.1:" + (port + 2));
        configuration.set("dfs.datanode.http.address", "127.0.0.1:" + (port + 3));
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
