package feed

// Golden values, computed apart from this package; feed_test.go says of what.
const (
	goldenDelivery = "Lje4oPbjh86lYzq69Jb2PCz5alBkagwIbaslfzaATyI"
	goldenStart    = "614hO_6uPUv2sbT8OgrpblcJR58VDdULvB8oNBH-C-4"
	goldenOne      = "iXaZgjK3pZIlKIIXIkn5bGIQHWFeydAOIjnKBGn-X5Q"
	goldenTwo      = "HCRAwrM0CkWpUyEwAkekZ8eMiQdcnMuuXS8fhoXly3M"
)
