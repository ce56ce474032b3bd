# What the generator exports, and only this package uses. A consumer's documentation is the shorter for it.
s/NewClient/newClient/g
s/New([A-Za-z]+Request)/new\1/g
s/ClientInterface/clientInterface/g
s/CreateCustomerProviderJSONRequestBody/createBody/g
s/UpdateCustomerProviderJSONRequestBody/updateBody/g
s/ListCustomerProvidersParams/listParams/g
s/ListCustomerProviderHistoryParams/historyParams/g
s/(Create|Get|Update|Delete)CustomerProviderParams/params\1/g
s/([^A-Za-z])IfMatchHeader/\1ifMatchHeader/g
s/([^A-Za-z])IfNoneMatchHeader/\1ifNoneMatchHeader/g
s/([^A-Za-z])IdempotencyKeyHeader/\1idempotencyKeyHeader/g
s/([^A-Za-z])HistoryCursor/\1historyCursor/g
s/([^A-Za-z])ProviderCursor/\1providerCursor/g
s/(type |\*)Limit( |$)/\1limit\2/g
