import java.io.BufferedInputStream;
import java.io.InputStream;
import java.io.PrintStream;
import java.security.MessageDigest;
import java.util.HexFormat;
import java.util.zip.ZipEntry;
import java.util.zip.ZipInputStream;

/** Reads a ZIP from standard input with java.util.zip.ZipInputStream. */
public class ZipInput {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, "UTF-8");
        byte[] buffer = new byte[65536];
        try (InputStream in = new BufferedInputStream(System.in);
                ZipInputStream zip = new ZipInputStream(in)) {
            for (ZipEntry entry = zip.getNextEntry(); entry != null; entry = zip.getNextEntry()) {
                MessageDigest digest = MessageDigest.getInstance("SHA-256");
                for (int read = zip.read(buffer); read >= 0; read = zip.read(buffer)) {
                    digest.update(buffer, 0, read);
                }
                out.println(HexFormat.of().formatHex(digest.digest()) + "\t" + entry.getName());
            }
        }
        out.flush();
    }
}
