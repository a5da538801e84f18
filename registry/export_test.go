package registry

// For tests of package registry_test, which may import registry/backup.
var (
	OldStore  = oldStore
	Holds     = holds
	Upgraded  = upgraded
	UseBefore = useBefore
	WithSteps = withSteps
	LinkUp    = linkUp(quietly)
)
