package storecopy

func init() { commitRows = 100 } // so that copies of little data have several transactions
