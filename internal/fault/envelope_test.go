package fault_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/octoseal/octoseal/internal/fault"
)

// What one side puts into an envelope the other takes out of it, but for the causes: those that are
// no faults are said only where somebody lets them be.
func TestEnvelope(t *testing.T) {
	driver := errors.New("driver: password is hunter2")
	behind := fault.New(fault.StoreUnavailable, fault.Context{"reason": "away"}).Because(driver)
	f := fault.New(fault.ProjectNotFound, fault.Context{"projectId": "p"}).Hinting("look").Because(fmt.Errorf("read: %w", behind))
	for name, c := range map[string]struct {
		tell func(error) string
		want []fault.Cause
	}{
		"to a client": {nil, []fault.Cause{{Code: fault.StoreUnavailable, Message: behind.Message}}},
		"to its person": {func(err error) string { return "said" }, []fault.Cause{
			{Code: fault.Unexpected, Message: "said"}, {Code: fault.StoreUnavailable, Message: behind.Message}, {Code: fault.Unexpected, Message: "said"},
		}},
	} {
		t.Run(name, func(t *testing.T) {
			raw, err := json.Marshal(f.Envelop(uuid.New(), time.Now(), c.tell))
			if err != nil {
				t.Fatal(err)
			}
			var e fault.Envelope
			if err := json.Unmarshal(raw, &e); err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(e.Problem.CauseChain, c.want) {
				t.Errorf("causes %v, want %v", e.Problem.CauseChain, c.want)
			}
			got := e.Fault()
			if got.Code != f.Code || got.Message != f.Message || got.Hint != f.Hint || !reflect.DeepEqual(got.Context, f.Context) {
				t.Errorf("%+v, want %+v", got, f)
			}
		})
	}
	if f := (fault.Envelope{}).Fault(); f != nil {
		t.Errorf("an answer without an envelope is %v", f)
	}
}
