package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"strings"
	"sync"
	"time"
)

// Echoes a request's body, its trailers as trailers, and says what it was in fields.
func serveHTTP(listener net.Listener) error {
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	protocols.SetUnencryptedHTTP2(true)
	server := http.Server{Protocols: protocols, Handler: http.HandlerFunc(answer)}
	return server.Serve(listener)
}

func answer(response http.ResponseWriter, request *http.Request) {
	header := response.Header()
	header.Set("X-Protocol", request.Proto)
	header.Set("X-Method", request.Method)
	header.Set("X-Host", request.Host)
	header.Set("X-Cookie", request.Header.Get("Cookie"))
	switch request.URL.Path {
	case "/hints":
		header.Set("Link", "</a>; rel=preload")
		response.WriteHeader(http.StatusEarlyHints)
		header.Del("Link")
	case "/none":
		response.WriteHeader(http.StatusNoContent)
		return
	case "/abort":
		panic(http.ErrAbortHandler)
	case "/cut":
		_, _ = response.Write(make([]byte, 1000))
		_ = http.NewResponseController(response).Flush()
		panic(http.ErrAbortHandler)
	}
	header.Set("Trailer", "X-Sum")
	response.WriteHeader(http.StatusOK)
	count, err := io.Copy(response, request.Body)
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	header.Set("X-Sum", fmt.Sprintf("%d%s", count, request.Trailer.Get("X-End")))
}

func httpChecks(base string) []check {
	transport := &http.Transport{Protocols: new(http.Protocols), DisableCompression: true}
	transport.Protocols.SetUnencryptedHTTP2(true)
	client := &http.Client{Transport: transport, Timeout: 20 * time.Second}
	do := func(method, path string, body io.Reader, edit func(*http.Request)) (*http.Response, []byte, error) {
		request, err := http.NewRequest(method, base+path, body)
		if err != nil {
			return nil, nil, err
		}
		if edit != nil {
			edit(request)
		}
		response, err := client.Do(request)
		if err != nil {
			return nil, nil, err
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		return response, data, err
	}
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	return []check{
		{"GET speaks HTTP/2", func() error {
			response, _, err := do("GET", "/", nil, nil)
			if err != nil {
				return err
			}
			return errors.Join(same(response.Proto, "HTTP/2.0"), same(response.StatusCode, 200))
		}},
		{"HEAD, 204", func() error {
			head, body, err := do("HEAD", "/", nil, nil)
			none, _, err2 := do("GET", "/none", nil, nil)
			if err = errors.Join(err, err2); err != nil {
				return err
			}
			return errors.Join(same(head.StatusCode, 200), same(len(body), 0), same(none.StatusCode, 204))
		}},
		{"2 MiB up and down at once, announced", func() error {
			response, body, err := do("POST", "/", bytes.NewReader(large), nil)
			if err != nil {
				return err
			}
			return errors.Join(same(bytes.Equal(body, large), true), same(response.Trailer.Get("X-Sum"), "2097152"))
		}},
		{"trailers both ways", func() error {
			response, body, err := do("POST", "/", io.NopCloser(strings.NewReader("abc")), func(request *http.Request) {
				request.Trailer = http.Header{"X-End": {"yes"}}
			})
			if err != nil {
				return err
			}
			return errors.Join(same(string(body), "abc"), same(response.Trailer.Get("X-Sum"), "3yes"))
		}},
		{"103 before the answer", func() error {
			hints := 0
			_, _, err := do("GET", "/hints", nil, func(request *http.Request) {
				trace := &httptrace.ClientTrace{Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
					if code == 103 {
						hints++
					}
					return nil
				}}
				*request = *request.WithContext(httptrace.WithClientTrace(context.Background(), trace))
			})
			if err != nil {
				return err
			}
			return same(hints, 1)
		}},
		{"cookies in crumbs", func() error {
			response, _, err := do("GET", "/", nil, func(request *http.Request) {
				request.Header.Set("Cookie", "a=1; b=2; c=3")
			})
			if err != nil {
				return err
			}
			return same(response.Header.Get("X-Cookie"), "a=1; b=2; c=3")
		}},
		{"a host that aborts is an error", func() error {
			response, _, err := do("GET", "/abort", nil, nil)
			if err != nil {
				return err
			}
			return same(response.StatusCode, 502)
		}},
		{"an answer that is cut is no whole one", func() error {
			if _, body, err := do("GET", "/cut", nil, nil); err == nil {
				return fmt.Errorf("%d bytes without an error", len(body))
			}
			return nil
		}},
		{"a request that is given up", func() error {
			ctx, cancel := context.WithCancel(context.Background())
			reader, writer := io.Pipe()
			defer writer.Close()
			request, _ := http.NewRequestWithContext(ctx, "POST", base+"/", reader)
			time.AfterFunc(100*time.Millisecond, cancel)
			response, err := client.Do(request)
			if err == nil {
				_, err = io.ReadAll(response.Body)
			}
			return same(errors.Is(err, context.Canceled), true)
		}},
		{"500 requests, 50 at once", func() error {
			var group sync.WaitGroup
			results := make(chan error, 500)
			for range 50 {
				group.Add(1)
				go func() {
					defer group.Done()
					for number := range 10 {
						want := fmt.Sprint(number)
						_, body, err := do("POST", "/", strings.NewReader(want), nil)
						if err == nil {
							err = same(string(body), want)
						}
						results <- err
					}
				}()
			}
			group.Wait()
			close(results)
			var all error
			for err := range results {
				all = errors.Join(all, err)
			}
			return all
		}},
	}
}
