"""Brings certificates: another one with every call, of an authority that lives in this process; see README.md."""

import datetime
import ipaddress
import json
from pathlib import Path

import plugin
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from plugin import messages

DAY = datetime.timedelta(days=1)


def main():
    parser = plugin.arguments()
    parser.add_argument("--name", default="localhost", help="host names and IP addresses, with commas between them")
    parser.add_argument("--ca-out", help="where the authority's certificate is written, for clients")
    options = parser.parse_args()
    authority = Authority(options.name.split(","))
    if options.ca_out:
        Path(options.ca_out).write_text(authority.pem)
    plugin.serve(authority.bring, options.listen)


class Authority:
    def __init__(self, names):
        self.names = x509.SubjectAlternativeName([_name(name) for name in names])
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loader authority")])
        usage = x509.KeyUsage(key_cert_sign=True, crl_sign=True, digital_signature=False, content_commitment=False,
                              key_encipherment=False, data_encipherment=False, key_agreement=False,
                              encipher_only=False, decipher_only=False)
        certificate = (_builder(self.subject, self.subject, self.key, 365 * DAY)
                       .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
                       .add_extension(usage, critical=True)
                       .add_extension(x509.SubjectKeyIdentifier.from_public_key(self.key.public_key()), critical=False)
                       .sign(self.key, hashes.SHA256()))
        self.pem = _pem(certificate)

    def bring(self, _):
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loader")])
        both = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        certificate = (_builder(subject, self.subject, key, DAY)
                       .add_extension(self.names, critical=False)
                       .add_extension(self.identifier, critical=False)
                       .add_extension(x509.ExtendedKeyUsage(both), critical=False)
                       .sign(self.key, hashes.SHA256()))
        key_pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8,
                                    serialization.NoEncryption()).decode()
        brought = {"cert_pem": _pem(certificate), "key_pem": key_pem, "ca_pem": self.pem}
        return messages.Response(body=json.dumps(brought).encode())


def _name(text):
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        return x509.DNSName(text)


def _builder(subject, issuer, key, life):
    now = datetime.datetime.now(datetime.timezone.utc)
    # Clocks differ a little.
    begun = now - datetime.timedelta(minutes=5)
    return (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer).public_key(key.public_key())
            .serial_number(x509.random_serial_number()).not_valid_before(begun).not_valid_after(now + life))


def _pem(certificate):
    return certificate.public_bytes(serialization.Encoding.PEM).decode()


if __name__ == "__main__":
    main()
