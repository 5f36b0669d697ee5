// Brings certificates: another one with every call, of an authority that lives
// in this process. Made with hashicorp/go-plugin, as MOSN's is.
package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"flag"
	"log"
	"math/big"
	"net"
	"os"
	"strings"
	"time"

	"sidegate/plugin-examples/kit"
	"sidegate/plugin-examples/pb"
)

const day = 24 * time.Hour

func main() {
	names := flag.String("name", "localhost", "host names and IP addresses, with commas between them")
	out := flag.String("ca-out", "", "where the authority's certificate is written, for clients")
	flag.Parse()
	authority, err := newAuthority(strings.Split(*names, ","))
	if err == nil && *out != "" {
		err = os.WriteFile(*out, authority.pem, 0o644)
	}
	if err != nil {
		log.Fatal(err)
	}
	kit.ServeHashicorp(authority.bring)
}

type authority struct {
	names       []string
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         []byte
}

func newAuthority(names []string) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	wanted := template("loader authority", 365*day)
	wanted.IsCA, wanted.BasicConstraintsValid, wanted.MaxPathLenZero = true, true, true
	wanted.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	der, err := x509.CreateCertificate(rand.Reader, wanted, wanted, &key.PublicKey, key)
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return &authority{names: names, key: key, certificate: certificate, pem: encode("CERTIFICATE", der)}, nil
}

func (a *authority) bring(*pb.Request) (*pb.Response, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	wanted := template("loader", day)
	wanted.KeyUsage = x509.KeyUsageDigitalSignature
	wanted.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	for _, name := range a.names {
		if address := net.ParseIP(name); address != nil {
			wanted.IPAddresses = append(wanted.IPAddresses, address)
		} else {
			wanted.DNSNames = append(wanted.DNSNames, name)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, wanted, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]string{
		"cert_pem": string(encode("CERTIFICATE", der)),
		"key_pem":  string(encode("PRIVATE KEY", keyDER)),
		"ca_pem":   string(a.pem),
	})
	return &pb.Response{Body: body}, err
}

func template(name string, life time.Duration) *x509.Certificate {
	now := time.Now()
	// rand.Reader fails nobody: it ends the process instead.
	serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	return &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: name},
		// Clocks differ a little.
		NotBefore: now.Add(-5 * time.Minute),
		NotAfter:  now.Add(life),
	}
}

func encode(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}
