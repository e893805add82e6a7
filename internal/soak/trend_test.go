package soak

import (
	"math"
	"math/rand/v2"
	"testing"

	"daybook/internal/testenv"
)

const (
	mb = float64(1 << 20)
	// A figure stands at level and may grow by allowed.
	level, allowed = 100 * mb, 10 * mb
)

// series draws an hour's values, one every 10 s.
func series(value func(passed float64) float64) Trend {
	var at, values []float64
	for i := range 361 {
		at, values = append(at, float64(10*i)), append(values, value(float64(i)/360))
	}
	return TrendOf(at, values)
}

func TestWhatOnlyFluctuatesIsFlat(t *testing.T) {
	random := rand.New(rand.NewPCG(testenv.Seed(t), 0))
	for name, value := range map[string]func(passed float64) float64{
		"nothing moves":       func(float64) float64 { return level },
		"noise":               func(float64) float64 { return level + 10*mb*random.NormFloat64() },
		"a collector's teeth": func(passed float64) float64 { return level + 80*mb*math.Mod(passed*97, 1) },
		"the first quarter warms up": func(passed float64) float64 {
			return level * (1 - math.Exp(-passed*40))
		},
		"a burst at the end": func(passed float64) float64 {
			if passed > 0.97 {
				return 10 * level
			}
			return level
		},
		"it falls":                  func(passed float64) float64 { return level * (1.5 - passed) },
		"it grows within the bound": func(passed float64) float64 { return level + 12*mb*passed },
	} {
		if trend := series(value); !trend.Flat(allowed) {
			t.Errorf("%s: called not flat: %+v", name, trend)
		}
	}
}

func TestWhatLeaksIsNotFlat(t *testing.T) {
	random := rand.New(rand.NewPCG(testenv.Seed(t), 0))
	for name, value := range map[string]func(passed float64) float64{
		"a steady leak":       func(passed float64) float64 { return level + 15*mb*passed },
		"a leak within noise": func(passed float64) float64 { return level + 30*mb*passed + 10*mb*random.NormFloat64() },
		"a leak under a collector's teeth": func(passed float64) float64 {
			return level + 40*mb*passed + 40*mb*math.Mod(passed*97, 1)
		},
		"a step halfway": func(passed float64) float64 {
			if passed > 0.6 {
				return level + 20*mb
			}
			return level
		},
		"a leak that gathers speed": func(passed float64) float64 { return level + 30*mb*passed*passed },
		"never measured":            func(float64) float64 { return math.NaN() },
	} {
		if trend := series(value); trend.Flat(allowed) {
			t.Errorf("%s: called flat: %+v", name, trend)
		}
	}
}

func TestQuartersAndSlopeAreThoseOfTheLine(t *testing.T) {
	trend := series(func(passed float64) float64 { return 3600 * passed })
	for what, pair := range map[string][2]float64{
		"first quarter": {trend.First, 450}, "second quarter": {trend.Second, 1350}, "last quarter": {trend.Last, 3150},
		"per hour": {trend.PerHour, 3600}, "grown": {trend.Grown, 2700},
	} {
		if math.Abs(pair[0]-pair[1]) > 10 {
			t.Errorf("%s is %v, want %v", what, pair[0], pair[1])
		}
	}
}
