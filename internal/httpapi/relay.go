package httpapi

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
	"github.com/octoseal/octoseal/internal/relay"
)

type bearerKey struct{}

// guardJob lets a job's message through: from an address with budget left, with a token and a body
// that is here and bounded. What the token is worth is the relay's to say.
func (s *server) guardJob(w http.ResponseWriter, r *http.Request, op operation, next http.HandlerFunc) {
	exchangeOf(r.Context()).route = op.Path
	w.Header().Set("Cache-Control", "no-store")
	scheme, bearer, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	bearer = strings.TrimSpace(bearer)
	err := s.addresses.charge(w.Header(), addressID(r.RemoteAddr), op.Cost, s.now())
	switch {
	case err != nil:
	case s.Relay == nil:
		err = fault.New(fault.RouteNotFound, fault.Context{"path": op.Path, "method": r.Method}).
			Hinting("This server has no relay. Its operator starts it with --public-url.")
	case !strings.EqualFold(scheme, "Bearer") || bearer == "":
		err = fault.New(fault.TokenMissing, nil).
			Hinting("A job claims with its OIDC token, and goes on with the session token; octoseal relay does both.")
	default:
		err = s.takeBody(w, r, op)
	}
	if err != nil {
		s.answerFault(w, r, err)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), bearerKey{}, bearer), s.WaitLimit+beyondWait)
	defer cancel()
	next(w, r.WithContext(ctx))
}

// addressID stands for who shares an address: one of version 4, or the network of one subscriber.
func addressID(remote string) uuid.UUID {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.Is6() && !ip.Is4In6() {
		const subscriber = 64
		if network, err := ip.WithZone("").Prefix(subscriber); err == nil {
			host = network.String()
		}
	}
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte(host))
}

type jobInput[I any] struct{ Body I }

type jobOutput[O any] struct{ Body O }

// registerJob puts a message's handler behind its schema.
func registerJob[I, O any](s *server, id string, handle func(ctx context.Context, bearer string, in I) (O, error)) {
	huma.Register(s.api, s.documented(operationsByID[id]), func(ctx context.Context, in *jobInput[I]) (*jobOutput[O], error) {
		bearer, _ := ctx.Value(bearerKey{}).(string)
		out, err := handle(ctx, bearer, in.Body)
		if err != nil {
			return nil, s.refusal(ctx, err)
		}
		return &jobOutput[O]{Body: out}, nil
	})
}

func (s *server) claim(ctx context.Context, bearer string, in relay.ClaimRequest) (relay.Claim, error) {
	c, err := s.Relay.Claim(ctx, bearer, in)
	exchangeOf(ctx).run = c.SyncID
	return c, err
}

func (s *server) takeBoxes(ctx context.Context, bearer string, in relay.Boxes) (relay.Received, error) {
	s.about(ctx, in.SyncID)
	return s.Relay.Boxes(ctx, bearer, in)
}

// finish waits for the run like a synchronisation's request, and no longer than the process lives.
func (s *server) finish(ctx context.Context, bearer string, in relay.FinishRequest) (relay.Report, error) {
	s.about(ctx, in.SyncID)
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-draining(ctx):
			cancel()
		case <-ctx.Done():
		}
	}()
	return s.Relay.Finish(ctx, bearer, in)
}

// about notes which run a message is about, for the log.
func (s *server) about(ctx context.Context, syncID string) {
	if id, err := uuid.Parse(syncID); err == nil {
		exchangeOf(ctx).run = id
	}
}
