// ssh-keygen.exe for wine, which has no OpenSSH: makes an ed25519 key as `ssh-keygen -t ed25519 -C COMMENT -f FILE` does.
package main

import (
	"crypto/ed25519"
	"encoding/pem"
	"log"
	"os"
	"strings"

	"golang.org/x/crypto/ssh"
)

func main() {
	given := map[string]string{}
	for i, word := range os.Args[:len(os.Args)-1] {
		if strings.HasPrefix(word, "-") {
			given[word] = os.Args[i+1]
		}
	}
	public, private, err := ed25519.GenerateKey(nil)
	check(err)
	block, err := ssh.MarshalPrivateKey(private, given["-C"])
	check(err)
	key, err := ssh.NewPublicKey(public)
	check(err)
	line := strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key))) + " " + given["-C"] + "\n"
	check(os.WriteFile(given["-f"], pem.EncodeToMemory(block), 0o600))
	check(os.WriteFile(given["-f"]+".pub", []byte(line), 0o644))
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
