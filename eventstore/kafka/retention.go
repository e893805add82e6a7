package kafka

import (
	"fmt"

	"github.com/IBM/sarama"
)

// KeepCommands sets how long the topics of commands and replies keep what they hold: everything, as while an older log is
// copied into the cluster, or as long as they are created to.
func (c *Client) KeepCommands(everything bool) error {
	admin, err := c.admin()
	if err != nil {
		return err
	}
	for _, spec := range specs(DefaultPartitions, everything) {
		if spec.events {
			continue
		}
		retention := spec.retentionMillis()
		err := admin.IncrementalAlterConfig(sarama.TopicResource, spec.name, map[string]sarama.IncrementalAlterConfigsEntry{
			"retention.ms": {Operation: sarama.IncrementalAlterConfigsOperationSet, Value: &retention},
		}, false)
		if err != nil {
			return fmt.Errorf("setting retention.ms of topic %s: %w", spec.name, err)
		}
	}
	return nil
}
