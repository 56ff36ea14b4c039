// A small OpenTelemetry Collector for tests: the Collector's own OTLP receiver, pipeline and configuration, with an exporter that
// writes each batch of spans as a line of OTLP JSON to standard output.
package main

import (
	"context"
	"log"
	"os"
	"sync"

	"go.opentelemetry.io/collector/component"
	"go.opentelemetry.io/collector/confmap"
	"go.opentelemetry.io/collector/confmap/provider/fileprovider"
	"go.opentelemetry.io/collector/consumer"
	"go.opentelemetry.io/collector/exporter"
	"go.opentelemetry.io/collector/otelcol"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"go.opentelemetry.io/collector/receiver"
	"go.opentelemetry.io/collector/receiver/otlpreceiver"
	"go.opentelemetry.io/collector/service/telemetry/otelconftelemetry"
)

// linesExporter writes batches of spans to standard output.
type linesExporter struct {
	component.StartFunc
	component.ShutdownFunc
	mutex   sync.Mutex
	written ptrace.JSONMarshaler
}

func (*linesExporter) Capabilities() consumer.Capabilities {
	return consumer.Capabilities{}
}

func (e *linesExporter) ConsumeTraces(_ context.Context, spans ptrace.Traces) error {
	line, err := e.written.MarshalTraces(spans)
	if err != nil {
		return err
	}
	e.mutex.Lock()
	defer e.mutex.Unlock()
	_, err = os.Stdout.Write(append(line, '\n'))
	return err
}

func components() (otelcol.Factories, error) {
	receivers, err := otelcol.MakeFactoryMap[receiver.Factory](otlpreceiver.NewFactory())
	if err != nil {
		return otelcol.Factories{}, err
	}
	lines := exporter.NewFactory(
		component.MustNewType("lines"),
		func() component.Config { return &struct{}{} },
		exporter.WithTraces(
			func(context.Context, exporter.Settings, component.Config) (exporter.Traces, error) {
				return &linesExporter{}, nil
			},
			component.StabilityLevelDevelopment,
		),
	)
	exporters, err := otelcol.MakeFactoryMap[exporter.Factory](lines)
	if err != nil {
		return otelcol.Factories{}, err
	}
	return otelcol.Factories{
		Receivers: receivers,
		Exporters: exporters,
		Telemetry: otelconftelemetry.NewFactory(),
	}, nil
}

func main() {
	settings := otelcol.CollectorSettings{
		BuildInfo: component.BuildInfo{Command: "collector", Description: "OpenTelemetry Collector for tests"},
		Factories: components,
		ConfigProviderSettings: otelcol.ConfigProviderSettings{
			ResolverSettings: confmap.ResolverSettings{
				DefaultScheme:     "file",
				ProviderFactories: []confmap.ProviderFactory{fileprovider.NewFactory()},
			},
		},
	}
	if err := otelcol.NewCommand(settings).Execute(); err != nil {
		log.Fatal(err)
	}
}
