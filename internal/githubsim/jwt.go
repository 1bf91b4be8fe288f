package githubsim

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxJWTLife is how far ahead of GitHub's clock an App's JWT may expire.
const maxJWTLife = 10 * time.Minute

const (
	undecodable = "A JSON web token could not be decoded"
	badExpiry   = "'Expiration time' claim ('exp') must be a numeric value representing the future time at " +
		"which the assertion expires"
	farExpiry   = "'Expiration time' claim ('exp') is too far in the future"
	badIssuedAt = "'Issued at' claim ('iat') must be an Integer representing the time that the assertion was issued"
)

func isJWT(token string) bool {
	return strings.Count(token, ".") == 2 && !strings.HasPrefix(token, "ghs_")
}

// identifyApp checks an App's JWT by GitHub's clock, without any tolerance: a client whose
// clock is a second fast and who asks for the full ten minutes is refused.
func (w *world) identifyApp(token string, now time.Time) (*credential, *answer) {
	refused := func(status int, message string) (*credential, *answer) {
		a := refuse(status, message)
		return nil, &a
	}
	claims := jwt.MapClaims{}
	var found *app
	_, err := jwt.NewParser(
		jwt.WithValidMethods([]string{"RS256"}), jwt.WithoutClaimsValidation(), jwt.WithJSONNumber(),
	).ParseWithClaims(token, claims, func(*jwt.Token) (any, error) {
		if found = w.issuer(claims["iss"]); found == nil {
			return nil, fmt.Errorf("unknown issuer")
		}
		return &found.Key.PublicKey, nil
	})
	switch {
	case found == nil && claims["iss"] != nil:
		return refused(404, "Integration not found")
	case err != nil:
		return refused(401, undecodable)
	}
	expires, isWhole := wholeSeconds(claims["exp"])
	switch issued, issuedWhole := wholeSeconds(claims["iat"]); {
	case !isWhole || expires <= now.Unix():
		return refused(401, badExpiry)
	case expires > now.Add(maxJWTLife).Unix():
		return refused(401, farExpiry)
	case !issuedWhole || issued > now.Unix():
		return refused(401, badIssuedAt)
	}
	return &credential{
		kind: appKey, id: "app:" + found.Slug, bucket: fmt.Sprintf("app:%d", found.ID), app: found,
	}, nil
}

// issuer finds the App that iss names: by client id, or by App id as text or number.
func (w *world) issuer(iss any) *app {
	for _, a := range w.apps {
		switch fmt.Sprint(iss) {
		case a.ClientID, strconv.FormatInt(a.ID, 10):
			return a
		}
	}
	return nil
}

// wholeSeconds reads a time claim, which must be an integer.
func wholeSeconds(claim any) (int64, bool) {
	n, isNumber := claim.(json.Number)
	if !isNumber {
		return 0, false
	}
	v, err := n.Int64()
	return v, err == nil
}
