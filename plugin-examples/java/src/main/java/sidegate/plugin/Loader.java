package sidegate.plugin;

import com.google.gson.Gson;
import com.google.protobuf.ByteString;
import java.io.IOException;
import java.io.StringWriter;
import java.math.BigInteger;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.security.KeyPair;
import java.security.KeyPairGenerator;
import java.security.SecureRandom;
import java.security.spec.ECGenParameterSpec;
import java.time.Duration;
import java.time.Instant;
import java.util.Arrays;
import java.util.Date;
import java.util.Map;
import org.bouncycastle.asn1.x500.X500Name;
import org.bouncycastle.asn1.x509.BasicConstraints;
import org.bouncycastle.asn1.x509.ExtendedKeyUsage;
import org.bouncycastle.asn1.x509.Extension;
import org.bouncycastle.asn1.x509.GeneralName;
import org.bouncycastle.asn1.x509.GeneralNames;
import org.bouncycastle.asn1.x509.KeyPurposeId;
import org.bouncycastle.asn1.x509.KeyUsage;
import org.bouncycastle.cert.X509CertificateHolder;
import org.bouncycastle.cert.X509v3CertificateBuilder;
import org.bouncycastle.cert.jcajce.JcaX509ExtensionUtils;
import org.bouncycastle.cert.jcajce.JcaX509v3CertificateBuilder;
import org.bouncycastle.openssl.jcajce.JcaPEMWriter;
import org.bouncycastle.operator.OperatorCreationException;
import org.bouncycastle.operator.jcajce.JcaContentSignerBuilder;
import org.bouncycastle.util.io.pem.PemObject;

/** Brings certificates: another one with every call, of an authority that lives in this process; see README.md. */
public final class Loader {
    private static final X500Name AUTHORITY = new X500Name("CN=loader authority");
    private static final SecureRandom RANDOM = new SecureRandom();

    private final KeyPair key;
    private final X509CertificateHolder certificate;
    private final GeneralNames names;

    private Loader(String[] names) throws GeneralSecurityException, IOException, OperatorCreationException {
        this.names = new GeneralNames(Arrays.stream(names).map(Loader::name).toArray(GeneralName[]::new));
        key = newKey();
        X509v3CertificateBuilder wanted = builder(AUTHORITY, key, Duration.ofDays(365));
        wanted.addExtension(Extension.basicConstraints, true, new BasicConstraints(0));
        wanted.addExtension(Extension.keyUsage, true, new KeyUsage(KeyUsage.keyCertSign | KeyUsage.cRLSign));
        wanted.addExtension(Extension.subjectKeyIdentifier, false,
                new JcaX509ExtensionUtils().createSubjectKeyIdentifier(key.getPublic()));
        certificate = sign(wanted);
    }

    public static void main(String[] args) throws Exception {
        String names = Server.argument(args, "--name");
        Loader loader = new Loader((names == null ? "localhost" : names).split(","));
        String out = Server.argument(args, "--ca-out");
        if (out != null) {
            // For clients.
            Files.writeString(Path.of(out), pem(loader.certificate));
        }
        Server.serve(loader::bring, Server.argument(args, "--listen"));
    }

    private Response bring(Request request) {
        try {
            KeyPair fresh = newKey();
            X509v3CertificateBuilder wanted = builder(new X500Name("CN=loader"), fresh, Duration.ofDays(1));
            wanted.addExtension(Extension.subjectAlternativeName, false, names);
            wanted.addExtension(Extension.authorityKeyIdentifier, false,
                    new JcaX509ExtensionUtils().createAuthorityKeyIdentifier(key.getPublic()));
            wanted.addExtension(Extension.extendedKeyUsage, false, new ExtendedKeyUsage(
                    new KeyPurposeId[] {KeyPurposeId.id_kp_serverAuth, KeyPurposeId.id_kp_clientAuth}));
            String body = new Gson().toJson(Map.of(
                    "cert_pem", pem(sign(wanted)),
                    // PKCS #8.
                    "key_pem", pem(new PemObject("PRIVATE KEY", fresh.getPrivate().getEncoded())),
                    "ca_pem", pem(certificate)));
            return Response.newBuilder().setBody(ByteString.copyFromUtf8(body)).build();
        } catch (GeneralSecurityException | IOException | OperatorCreationException error) {
            // The call fails, and the certificate before goes on.
            throw new IllegalStateException(error);
        }
    }

    private static KeyPair newKey() throws GeneralSecurityException {
        KeyPairGenerator generator = KeyPairGenerator.getInstance("EC");
        generator.initialize(new ECGenParameterSpec("secp256r1"));
        return generator.generateKeyPair();
    }

    private static X509v3CertificateBuilder builder(X500Name subject, KeyPair key, Duration life) {
        Instant now = Instant.now();
        // Clocks differ a little.
        Date begun = Date.from(now.minus(Duration.ofMinutes(5)));
        return new JcaX509v3CertificateBuilder(AUTHORITY, new BigInteger(127, RANDOM), begun,
                Date.from(now.plus(life)), subject, key.getPublic());
    }

    private X509CertificateHolder sign(X509v3CertificateBuilder wanted) throws OperatorCreationException {
        return wanted.build(new JcaContentSignerBuilder("SHA256withECDSA").build(key.getPrivate()));
    }

    private static GeneralName name(String text) {
        boolean isAddress = text.contains(":") || text.matches("[0-9.]+");
        return new GeneralName(isAddress ? GeneralName.iPAddress : GeneralName.dNSName, text);
    }

    private static String pem(Object thing) throws IOException {
        StringWriter text = new StringWriter();
        try (JcaPEMWriter writer = new JcaPEMWriter(text)) {
            writer.writeObject(thing);
        }
        return text.toString();
    }
}
