package store_test

import "testing"

func asNobody(t *testing.T) { t.Skip("Windows has no root") }
