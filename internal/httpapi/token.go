package httpapi

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"strings"
)

// A token is tokenPrefix and the unpadded base64url text of 32 random bytes and their CRC-32. The
// checksum costs six characters and lets a mistyped or made-up token be refused without asking the
// database, and a scanner tell a token from noise.
const (
	tokenPrefix = "osl_"
	tokenRandom = 32
)

// MintToken returns a new API token, which is shown once, and the hash to store in its place.
func MintToken() (token, hash string) {
	raw := make([]byte, tokenRandom, tokenRandom+crc32.Size)
	_, _ = rand.Read(raw) // never answers an error
	raw = binary.BigEndian.AppendUint32(raw, crc32.ChecksumIEEE(raw))
	token = tokenPrefix + base64.RawURLEncoding.EncodeToString(raw)
	return token, HashToken(token)
}

// HashToken returns what is stored of a token. It has 256 random bits, so a plain hash will do.
func HashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// wellFormed says whether MintToken may have made the token.
func wellFormed(token string) bool {
	text, ok := strings.CutPrefix(token, tokenPrefix)
	if !ok {
		return false
	}
	raw, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || len(raw) != tokenRandom+crc32.Size {
		return false
	}
	return binary.BigEndian.Uint32(raw[tokenRandom:]) == crc32.ChecksumIEEE(raw[:tokenRandom])
}
