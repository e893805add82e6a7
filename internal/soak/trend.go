package soak

import (
	"math"
	"slices"
)

// Trend is what one figure did over a soak.
type Trend struct {
	// First, Second and Last are the medians of those quarters of the time.
	First, Second, Last float64
	// PerHour is the slope of the line through the last three quarters by least squares.
	PerHour float64
	// Grown is how much that line rises over those three quarters.
	Grown float64
}

// TrendOf takes a figure's values and when they were taken, in seconds, ascending. A value that is NaN was not measured.
func TrendOf(at, values []float64) Trend {
	nan := math.NaN()
	if len(at) < 2 {
		return Trend{First: nan, Second: nan, Last: nan}
	}
	begin, length := at[0], at[len(at)-1]-at[0]
	var quarters [4][]float64
	var x, y []float64
	for i, value := range values {
		if math.IsNaN(value) {
			continue
		}
		quarter := min(3, int(4*(at[i]-begin)/length))
		quarters[quarter] = append(quarters[quarter], value)
		if quarter > 0 {
			x, y = append(x, at[i]), append(y, value)
		}
	}
	perSecond := slope(x, y)
	return Trend{
		First: median(quarters[0]), Second: median(quarters[1]), Last: median(quarters[3]),
		PerHour: perSecond * 3600, Grown: perSecond * length * 3 / 4,
	}
}

// Flat tells whether the figure did not grow by more than is allowed over the last three quarters. Two measures must
// agree that it did: the line through all values, which a single burst can tilt, and the medians of the second and the
// last quarter, which are two thirds of the time from each other's middle to middle. What falls is flat.
func (t Trend) Flat(allowed float64) bool {
	if math.IsNaN(t.Second) || math.IsNaN(t.Last) {
		return false // What was not measured is not known to be flat.
	}
	return t.Grown <= allowed || t.Last-t.Second <= allowed*2/3
}

func slope(x, y []float64) float64 {
	if len(x) < 2 {
		return 0
	}
	mx, my := mean(x), mean(y)
	var xy, xx float64
	for i := range x {
		xy += (x[i] - mx) * (y[i] - my)
		xx += (x[i] - mx) * (x[i] - mx)
	}
	if xx == 0 {
		return 0
	}
	return xy / xx
}

func mean(values []float64) float64 {
	sum := 0.0
	for _, v := range values {
		sum += v
	}
	return sum / float64(len(values))
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	if len(sorted)%2 == 1 {
		return sorted[middle]
	}
	return (sorted[middle-1] + sorted[middle]) / 2
}
