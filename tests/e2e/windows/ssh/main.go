// ssh.exe for wine, which has no OpenSSH: as much of it as `ssh -F CONFIG HOST COMMAND` needs, with a ProxyCommand that is
// started as OpenSSH does on Windows, and the host key that UserKnownHostsFile has for HostKeyAlias.
package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/knownhosts"
)

type pipe struct {
	io.Reader
	io.WriteCloser
}

func (pipe) LocalAddr() net.Addr                { return &net.TCPAddr{} }
func (pipe) RemoteAddr() net.Addr               { return &net.TCPAddr{} }
func (pipe) SetDeadline(_ time.Time) error      { return nil }
func (pipe) SetReadDeadline(_ time.Time) error  { return nil }
func (pipe) SetWriteDeadline(_ time.Time) error { return nil }

func main() {
	if os.Args[1] == "-V" {
		fmt.Fprintln(os.Stderr, "OpenSSH_for_Windows_9.5p1, LibreSSL 3.8.2")
		return
	}
	if os.Args[1] != "-F" {
		fail(errors.New("ssh -F CONFIG HOST COMMAND..."))
	}
	config := read(os.Args[2], os.Args[3])
	proxy := exec.Command(strings.Trim(strings.Fields(config["ProxyCommand"])[0], `"`))
	proxy.SysProcAttr = &syscall.SysProcAttr{CmdLine: strings.ReplaceAll(config["ProxyCommand"], "%%", "%")}
	proxy.Stderr = os.Stderr
	in, err := proxy.StdinPipe()
	fail(err)
	out, err := proxy.StdoutPipe()
	fail(err)
	fail(proxy.Start())

	trusted, err := knownhosts.New(strings.Trim(config["UserKnownHostsFile"], `"`))
	fail(err)
	options := &ssh.ClientConfig{User: config["User"], HostKeyCallback: trusted, HostKeyAlgorithms: []string{ssh.KeyAlgoED25519}}
	conn, channels, requests, err := ssh.NewClientConn(pipe{out, in}, config["HostKeyAlias"]+":22", options)
	fail(err)
	session, err := ssh.NewClient(conn, channels, requests).NewSession()
	fail(err)
	session.Stdin, session.Stdout, session.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = session.Run(strings.Join(os.Args[4:], " "))
	var ended *ssh.ExitError
	if errors.As(err, &ended) {
		os.Exit(ended.ExitStatus())
	}
	fail(err)
}

// read gives the settings that a ssh_config has for a host.
func read(path, host string) map[string]string {
	text, err := os.ReadFile(path)
	fail(err)
	settings, mine := map[string]string{}, false
	for _, line := range strings.Split(string(text), "\n") {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if key == "Host" {
			mine = strings.Contains(" "+value+" ", " "+host+" ")
		} else if mine {
			settings[key] = strings.TrimSpace(value)
		}
	}
	return settings
}

func fail(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(255)
	}
}
