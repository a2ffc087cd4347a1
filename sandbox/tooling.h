#pragma once

#include "sandbox/org.h"
#include "sandbox/wire.h"

namespace lockstep::sandbox {

/// The Tooling API's view of the schema: EntityDefinition and FieldDefinition by SOQL. What the connected user may not
/// see is there all the same, and a custom field keeps its DurableId when its API name changes; so a field that was
/// renamed, hidden or deleted can be told apart.
///
/// As on the platform, FieldDefinition needs a filter on its entity (EntityDefinition.QualifiedApiName,
/// EntityDefinitionId or DurableId), and conditions are =, IN and LIKE, joined by AND. No ORDER BY, no aggregates.
/// Thread-safe; takes the org's read_lock() itself.
/// Source: salesforce-api 9.
class Tooling {
public:
    explicit Tooling(const Org& org) : org_(org) {}
    /// GET /tooling/query?q=…; at most 2000 records, in one page.
    http::Answer query(const Call& call);

private:
    const Org& org_;
};

}  // namespace lockstep::sandbox
