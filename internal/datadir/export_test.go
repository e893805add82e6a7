package datadir

// LetGo lets go of what is built, as a killed process does.
func (b *Building) LetGo() { _ = b.mark.Close() }
