package httpapi

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/octoseal/octoseal/internal/fault"
)

// A Gatekeeper verifies the tokens of one OpenID provider. Package openid has one.
type Gatekeeper interface {
	Issuer() string
	Login(ctx context.Context, token string) (string, error)
}

// byJWT returns the user whom a configured issuer vouches for. The claim of the issuer is read
// before the signature only to find whose keys must have made it.
func (s *server) byJWT(ctx context.Context, token string) (caller, error) {
	gate, ok := s.issuers[unverifiedIssuer(token)]
	if !ok {
		return caller{}, invalidToken("neither a token of ours nor of an issuer that is known")
	}
	login, err := gate.Login(ctx, token)
	if err != nil {
		return caller{}, invalidToken(err.Error())
	}
	u, found, err := s.store.UserByLogin(ctx, login)
	if err != nil {
		return caller{}, err
	}
	if !found {
		return caller{}, fault.New(fault.TokenInvalid, nil).Because(reason("no user has the login of the claim")).
			Hinting("Ask an admin to add you to a project; your login there is the one your provider knows you by.")
	}
	if err := active(u); err != nil {
		return caller{}, err
	}
	return caller{user: u}, nil
}

func unverifiedIssuer(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return ""
	}
	raw, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return ""
	}
	var claims struct {
		Issuer string `json:"iss"`
	}
	_ = json.Unmarshal(raw, &claims) // what is not JSON has no issuer
	return claims.Issuer
}
