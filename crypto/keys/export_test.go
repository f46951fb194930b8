package keys

// Passphrases cost a second each with the real work factor.
func init() { scryptLogN = 10 }
