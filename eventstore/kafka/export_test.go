package kafka

// Renumber makes the writer number its next batch as if n more messages had been sent, or fewer.
func (w *Writer) Renumber(n int32) { w.sequence += n }

// Cut breaks the reader's connection.
func (r *Reader) Cut() { _ = r.conn.Close() }

// Cut breaks the appender's connection.
func (a *Appender) Cut() { _ = a.conn.Close() }
