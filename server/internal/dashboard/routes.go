package dashboard

// route is a page, or a form that is sent.
type route struct {
	pattern string // as http.ServeMux has it
	guard   guard
	handle  func(*Dashboard, *request) error
	upload  bool // the body may be larger than a form
}

// routes are all pages and forms. Each form has a token (dashboard.go), even one that anyone may send.
var routes = []route{
	{pattern: "GET /dashboard/{$}", guard: signedIn, handle: (*Dashboard).showHome},
	{pattern: "GET /dashboard/sign-in", guard: anyone, handle: (*Dashboard).showSignIn},
	{pattern: "POST /dashboard/sign-in", guard: anyone, handle: (*Dashboard).signIn},
	{pattern: "GET /dashboard/sign-in/code", guard: anyone, handle: (*Dashboard).showCode},
	{pattern: "POST /dashboard/sign-in/code", guard: anyone, handle: (*Dashboard).signInWithCode},
	{pattern: "GET " + openIDPath, guard: anyone, handle: (*Dashboard).startOpenID},
	{pattern: "GET " + openIDPath + "/callback", guard: anyone, handle: (*Dashboard).finishOpenID},
	{pattern: "POST /dashboard/sign-out", guard: signedIn, handle: (*Dashboard).signOut},
	{pattern: "GET /dashboard/links/{token}", guard: anyone, handle: (*Dashboard).showLink},
	{pattern: "POST /dashboard/links/{token}", guard: anyone, handle: (*Dashboard).useLink},

	{pattern: "GET /dashboard/account", guard: signedIn, handle: (*Dashboard).showAccount},
	{pattern: "POST /dashboard/account/password", guard: signedIn, handle: (*Dashboard).changePassword},
	{pattern: "GET /dashboard/account/two-step", guard: signedIn, handle: (*Dashboard).showSecret},
	{pattern: "POST /dashboard/account/two-step", guard: signedIn, handle: (*Dashboard).startTwoStep},
	{pattern: "POST /dashboard/account/two-step/on", guard: signedIn, handle: (*Dashboard).turnOnTwoStep},
	{pattern: "POST /dashboard/account/two-step/off", guard: signedIn, handle: (*Dashboard).turnOffTwoStep},
	{pattern: "POST /dashboard/account/sessions/{session}/end", guard: signedIn, handle: (*Dashboard).endSession},
	{pattern: "GET /dashboard/invitations/{token}", guard: anyone, handle: (*Dashboard).showInvitation},
	{pattern: "POST /dashboard/invitations/{token}", guard: anyone, handle: (*Dashboard).acceptInvitation},

	{pattern: "GET /dashboard/organizations/{organization}/settings", guard: operator, handle: (*Dashboard).showSettings},
	{pattern: "POST /dashboard/organizations/{organization}/rename", guard: operator, handle: (*Dashboard).renameOrganization},
	{pattern: "POST /dashboard/organizations/{organization}/suspend", guard: operator, handle: (*Dashboard).suspendOrganization},
	{pattern: "POST /dashboard/organizations/{organization}/resume", guard: operator, handle: (*Dashboard).resumeOrganization},

	{pattern: "GET /dashboard/organizations/{organization}/members", guard: viewer, handle: (*Dashboard).listMembers},
	{pattern: "POST /dashboard/organizations/{organization}/members", guard: owner, handle: (*Dashboard).invite},
	{pattern: "POST /dashboard/organizations/{organization}/members/cancel", guard: owner, handle: (*Dashboard).cancelInvitation},
	{pattern: "POST /dashboard/organizations/{organization}/members/{user}/role", guard: owner, handle: (*Dashboard).setRole},

	{pattern: "GET /dashboard/organizations/{organization}/keys", guard: viewer, handle: (*Dashboard).listKeys},
	{pattern: "GET /dashboard/organizations/{organization}/keys/new", guard: developer, handle: (*Dashboard).showNewKey},
	{pattern: "POST /dashboard/organizations/{organization}/keys", guard: developer, handle: (*Dashboard).createKey},
	{pattern: "GET /dashboard/organizations/{organization}/keys/{key}", guard: viewer, handle: (*Dashboard).showKey},
	{pattern: "POST /dashboard/organizations/{organization}/keys/{key}/rotate", guard: developer, handle: (*Dashboard).rotateKey},
	{pattern: "POST /dashboard/organizations/{organization}/keys/{key}/revoke", guard: developer, handle: (*Dashboard).revokeKey},
	{pattern: "GET /dashboard/organizations/{organization}/customers", guard: viewer, handle: (*Dashboard).listCustomers},
	{pattern: "POST /dashboard/organizations/{organization}/customers/search", guard: viewer, handle: (*Dashboard).search},
	{pattern: "GET /dashboard/organizations/{organization}/customers/{customer}", guard: viewer, handle: (*Dashboard).showCustomer},
	{pattern: "GET /dashboard/organizations/{organization}/customers/{customer}/new", guard: developer, handle: (*Dashboard).showNewProvider},
	{pattern: "POST /dashboard/organizations/{organization}/customers/{customer}/new", guard: developer, handle: (*Dashboard).createProvider},
	{pattern: "GET /dashboard/organizations/{organization}/customers/{customer}/providers/{provider}", guard: viewer, handle: (*Dashboard).showProvider},
	{pattern: "GET /dashboard/organizations/{organization}/customers/{customer}/providers/{provider}/edit", guard: developer, handle: (*Dashboard).showEditProvider},
	{pattern: "POST /dashboard/organizations/{organization}/customers/{customer}/providers/{provider}/edit", guard: developer, handle: (*Dashboard).updateProvider},
	{pattern: "POST /dashboard/organizations/{organization}/customers/{customer}/providers/{provider}/delete", guard: developer, handle: (*Dashboard).deleteProvider},
	{pattern: "GET /dashboard/organizations/{organization}/import", guard: developer, handle: (*Dashboard).showImport},
	{pattern: "POST /dashboard/organizations/{organization}/import", guard: developer, handle: (*Dashboard).importFile, upload: true},
	{pattern: "GET /dashboard/organizations/{organization}/export", guard: viewer, handle: (*Dashboard).export},

	{pattern: "GET /dashboard/organizations/{organization}/activity", guard: viewer, handle: (*Dashboard).showActivity},
	{pattern: "GET /dashboard/organizations/{organization}/audit", guard: owner, handle: (*Dashboard).showAudit},
	{pattern: "GET /dashboard/audit", guard: operator, handle: (*Dashboard).showWholeAudit},
	{pattern: "GET /dashboard/organizations/{organization}/usage", guard: viewer, handle: (*Dashboard).showUsage},
	{pattern: "GET " + TestKeys, guard: signedIn, handle: (*Dashboard).showTestKey},
	{pattern: "POST /dashboard/organizations/{organization}/test-key", guard: developer, handle: (*Dashboard).createTestKey},
}

const (
	Home     = "/dashboard/"         // the path of the first page
	TestKeys = "/dashboard/test-key" // the path of the page that creates a key for the reference
)
