package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"daybook/engine/store"
	"daybook/eventstore/embedded"
)

// flushTimeout bounds how long a node that ends waits for its last spans to be taken.
const flushTimeout = 5 * time.Second

// newRegistry makes a registry that tells of the process.
func newRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	r.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	promauto.With(r).NewGauge(prometheus.GaugeOpts{
		Name: "daybook_build_info", Help: "Always 1; the label names the version.", ConstLabels: prometheus.Labels{"version": version()},
	}).Set(1)
	return r
}

// watchState registers how much memory the local state's cache takes.
func watchState(r prometheus.Registerer, s *store.Store) {
	promauto.With(r).NewGaugeFunc(prometheus.GaugeOpts{
		Name: "daybook_state_cache_bytes",
		Help: fmt.Sprintf("Memory of the local state's cache, which fills up to %d MB.", store.CacheBytes>>20),
	}, func() float64 { return float64(s.Cached()) })
}

// watchDisk registers what an embedded node's disk holds.
func watchDisk(r prometheus.Registerer, b *embedded.Broker) {
	register := promauto.With(r)
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "daybook_disk_free_bytes", Help: "Free space where the embedded log lies; below 256 MB commands are refused.",
	}, func() float64 {
		free, err := b.FreeBytes()
		if err != nil {
			return -1
		}
		return float64(free)
	})
	register.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "daybook_log_bytes", Help: "Size of the embedded log, which is read into memory at start.",
	}, func() float64 { return float64(b.LogBytes()) })
}

// tracing is where spans go.
type tracing struct {
	tracer trace.Tracer
	close  func() error
}

// openTracing sends spans where the standard variables of OpenTelemetry say, sampled as they say; nowhere, at no cost,
// where they name no endpoint.
func openTracing(ctx context.Context, nodeID string, log *slog.Logger) (tracing, error) {
	if !tracingAsked() {
		return tracing{}, nil
	}
	if protocol := firstOf("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"); protocol != "" && protocol != "http/protobuf" {
		return tracing{}, fmt.Errorf("traces are sent with http/protobuf only: name the collector's HTTP port in OTEL_EXPORTER_OTLP_ENDPOINT and leave %q out", protocol)
	}
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return tracing{}, fmt.Errorf("preparing to send traces; correct the variables OTEL_EXPORTER_OTLP_…: %w", err)
	}
	// What the variables say comes last and counts.
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithAttributes(
		attribute.String("service.name", "daybook"), attribute.String("service.version", version()),
		attribute.String("service.instance.id", nodeID)), resource.WithFromEnv())
	if err != nil {
		return tracing{}, fmt.Errorf("describing this node in traces; correct OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) {
		log.Warn("traces are not sent; start the collector or correct OTEL_EXPORTER_OTLP_ENDPOINT; nothing else is affected", "error", err)
	}))
	provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(exporter), sdktrace.WithResource(about))
	return tracing{provider.Tracer("daybook"), func() error {
		ctx, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("the last traces were not sent; look whether the collector runs", "error", err)
		}
		return nil
	}}, nil
}

func tracingAsked() bool {
	if strings.EqualFold(os.Getenv("OTEL_SDK_DISABLED"), "true") || strings.EqualFold(os.Getenv("OTEL_TRACES_EXPORTER"), "none") {
		return false
	}
	return firstOf("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") != ""
}

// firstOf returns the first of the variables that is set.
func firstOf(variables ...string) string {
	for _, name := range variables {
		if value := os.Getenv(name); value != "" {
			return value
		}
	}
	return ""
}
