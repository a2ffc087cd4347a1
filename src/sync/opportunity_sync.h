#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "store/catalog.h"
#include "store/log.h"
#include "store/mirror.h"
#include "sync/rules.h"

namespace lockstep::sync {

/// Ties people to opportunities through contact roles, and tells their history of it (domain 6.6, 10.6).
///
/// A link lives while its role, its opportunity and its contact live, whichever of them dies. Activities: 34 Add to
/// Opportunity when a link comes alive, 35 Remove from Opportunity when it dies, 36 Update Opportunity for a changed
/// opportunity field, role or primary flag; one activity a person.
class OpportunitySync {
public:
    OpportunitySync(store::Transaction& tx, const store::Catalog& catalog, const Settings& settings, store::Class cls,
                    store::Cause cause)
        : tx_(tx), catalog_(catalog), settings_(settings), cls_(cls), cause_(std::move(cause)) {}

    void opportunities_heard(const store::PageShape& shape, const record::Batch& page,
                             const store::MirrorChanges& changes);
    void roles_heard(const store::PageShape& shape, const record::Batch& page, const store::MirrorChanges& changes);
    /// Roles or opportunities gone without a last word; they are buried in the mirror already.
    void roles_gone(const std::vector<store::DeadRow>& rows);
    void opportunities_gone(const std::vector<store::DeadRow>& rows);
    /// Contacts that came, died, came back or became somebody else's.
    void contacts_changed(std::span<const std::string> contacts);

    std::int64_t activities() const { return activities_; }

private:
    struct RoleRow;
    std::vector<RoleRow> roles_where(std::string_view field, std::span<const std::string_view> ids);
    void settle(std::vector<RoleRow> roles, Timestamp at);
    void settle_of_opportunities(const std::vector<std::string>& ids, Timestamp at);
    void tell(std::int64_t person, int type, Timestamp at, std::string_view opportunity, std::string attributes);
    bool makes_activity(const record::Field& field) const;
    bool has(std::string_view object) const;

    store::Transaction& tx_;
    const store::Catalog& catalog_;
    const Settings& settings_;
    store::Class cls_;
    store::Cause cause_;
    std::int64_t activities_ = 0;
};

/// Builds all links and their Add to Opportunity activities after a first load, set-wise: dated by the role's creation,
/// catch-up, one Snapshot row in the log. Also lists what points at records we have not got. Re-runnable.
struct LinkBuild {
    std::int64_t links = 0, activities = 0, missing = 0;
};
LinkBuild build_links(store::Transaction& tx, const store::Catalog& catalog, const store::Cause& cause);

/// The attributes of activities 34 and 35: {"Oppty ID":"006…","Is Primary":true,"Role":"Decision Maker"}.
std::string role_attributes(std::string_view opportunity, bool primary, const record::Cell& role);

}  // namespace lockstep::sync
