package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const peersTest = "peers.test"

func pool(certs string) *x509.CertPool {
	pem, err := os.ReadFile(certs + "/ca.pem")
	if err != nil {
		panic(err)
	}
	made := x509.NewCertPool()
	made.AppendCertsFromPEM(pem)
	return made
}

func pair(certs, who string) tls.Certificate {
	made, err := tls.LoadX509KeyPair(certs+"/"+who+".pem", certs+"/"+who+".key")
	if err != nil {
		panic(err)
	}
	return made
}

// Asks for certificates and says what was agreed on; `/echo` answers with the body, `/bye` closes afterwards.
func serveTLS(certs string) func(net.Listener) error {
	return func(listener net.Listener) error {
		handler := func(response http.ResponseWriter, request *http.Request) {
			if request.URL.Path == "/bye" {
				response.Header().Set("Connection", "close")
			}
			if request.Method == "POST" {
				_, _ = io.Copy(response, request.Body)
				return
			}
			state := request.TLS
			fmt.Fprintf(response, "client=%s version=%s resumed=%t\n", state.PeerCertificates[0].Subject.CommonName,
				strings.ReplaceAll(tls.VersionName(state.Version), "TLS ", "TLSv"), state.DidResume)
		}
		config := &tls.Config{
			Certificates: []tls.Certificate{pair(certs, "server")},
			ClientCAs:    pool(certs),
			ClientAuth:   tls.RequireAndVerifyClientCert,
		}
		server := http.Server{Handler: http.HandlerFunc(handler), TLSConfig: config}
		return server.ServeTLS(listener, "", "")
	}
}

func tlsChecks(ports, certs string) []check {
	parts := strings.Split(ports, ",")
	address := func(place int) string { return "127.0.0.1:" + parts[place] }
	const open, mutual, old = 0, 1, 2
	config := func(edit func(*tls.Config)) *tls.Config {
		made := &tls.Config{RootCAs: pool(certs), ServerName: peersTest}
		if edit != nil {
			edit(made)
		}
		return made
	}
	only := func(version uint16) func(*tls.Config) {
		return func(config *tls.Config) { config.MinVersion, config.MaxVersion = version, version }
	}
	// Status and a field of what comes over a connection.
	ask := func(place int, config *tls.Config) (*tls.ConnectionState, *http.Response, error) {
		client := &http.Client{Transport: &http.Transport{TLSClientConfig: config, DisableKeepAlives: true,
			ForceAttemptHTTP2: true}, Timeout: 20 * time.Second}
		response, err := client.Get("https://" + address(place) + "/")
		if err != nil {
			return nil, nil, err
		}
		defer response.Body.Close()
		_, err = io.ReadAll(response.Body)
		return response.TLS, response, err
	}
	version := func(wanted uint16, place int) func() error {
		return func() error {
			state, _, err := ask(place, config(only(wanted)))
			if err != nil {
				return err
			}
			return same(state.Version, wanted)
		}
	}
	alert := func(place int, wanted string, config *tls.Config) func() error {
		return func() error {
			_, _, err := ask(place, config)
			if err == nil {
				return errors.New("it went well")
			}
			if !strings.Contains(err.Error(), wanted) {
				return err
			}
			return nil
		}
	}
	resumption := func(place int, version uint16) func() error {
		return func() error {
			made := config(only(version))
			made.ClientSessionCache = tls.NewLRUClientSessionCache(8)
			made.Certificates = []tls.Certificate{pair(certs, "client")}
			for round := range 2 {
				state, _, err := ask(place, made)
				if err != nil {
					return err
				}
				if err := same(state.DidResume, round == 1); err != nil {
					return err
				}
			}
			return nil
		}
	}
	group := func(id tls.CurveID) func() error {
		return func() error {
			state, _, err := ask(open, config(func(config *tls.Config) { config.CurvePreferences = []tls.CurveID{id} }))
			if err != nil {
				return err
			}
			return same(state.CurveID, id)
		}
	}
	own := config(func(config *tls.Config) { config.Certificates = []tls.Certificate{pair(certs, "client")} })
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	return []check{
		{"TLS 1.3", version(tls.VersionTLS13, open)},
		{"TLS 1.2", version(tls.VersionTLS12, open)},
		{"TLS 1.2 alone", version(tls.VersionTLS12, old)},
		{"TLS 1.3 where 1.2 is spoken", alert(old, "protocol version", config(only(tls.VersionTLS13)))},
		{"TLS 1.1", alert(open, "protocol version", config(only(tls.VersionTLS11)))},
		{"X25519MLKEM768", group(tls.X25519MLKEM768)},
		{"X25519", group(tls.X25519)},
		{"P-256", group(tls.CurveP256)},
		{"P-384", group(tls.CurveP384)},
		{"P-521, which is not there", alert(open, "handshake failure",
			config(func(config *tls.Config) { config.CurvePreferences = []tls.CurveID{tls.CurveP521} }))},
		{"HTTP/2", func() error {
			_, response, err := ask(open, config(nil))
			if err != nil {
				return err
			}
			return same(response.Proto, "HTTP/2.0")
		}},
		{"a certificate", func() error {
			_, response, err := ask(mutual, own)
			if err != nil {
				return err
			}
			return same(response.Header.Get("X-Client"), "CN=client.peers.test")
		}},
		{"no certificate", alert(mutual, "certificate required", config(nil))},
		{"a CA that it does not know", alert(open, "unknown authority", &tls.Config{ServerName: peersTest, RootCAs: x509.NewCertPool()})},
		{"another name", alert(open, "not nobody.test", config(func(config *tls.Config) { config.ServerName = "nobody.test" }))},
		{"resumption, TLS 1.3", resumption(open, tls.VersionTLS13)},
		{"resumption, TLS 1.2", resumption(open, tls.VersionTLS12)},
		{"resumption with a certificate, TLS 1.3", resumption(mutual, tls.VersionTLS13)},
		{"resumption with a certificate, TLS 1.2", resumption(mutual, tls.VersionTLS12)},
		{"100 requests with 2 MiB, 20 at once", func() error {
			client := &http.Client{Transport: &http.Transport{TLSClientConfig: config(nil), ForceAttemptHTTP2: true}, Timeout: 60 * time.Second}
			var group sync.WaitGroup
			errs := make(chan error, 100)
			slots := make(chan struct{}, 20)
			for range 100 {
				group.Go(func() {
					slots <- struct{}{}
					defer func() { <-slots }()
					response, err := client.Post("https://"+address(open)+"/", "text/plain", bytes.NewReader(large))
					if err == nil {
						_, err = io.ReadAll(response.Body)
						response.Body.Close()
					}
					if err == nil && response.StatusCode != 200 {
						err = errors.New(response.Status)
					}
					if err != nil {
						errs <- err
					}
				})
			}
			group.Wait()
			close(errs)
			return <-errs
		}},
	}
}
