package console

import "slices"

// operations is the table. Its order is that of docs/api.md.
func operations() []operation {
	return slices.Concat(
		signInOperations(), orgOperations(), tokenOperations(), webhookOperations(), auditOperations(),
		peopleOperations(), audienceOperations(), flowOperations(),
		campaignOperations(), campaignMoves(), outboxOperations(),
		caseOperations(), resultOperations(), serverOperations(),
	)
}
