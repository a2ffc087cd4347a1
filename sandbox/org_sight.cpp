#include <algorithm>

#include "sandbox/org_data.h"

/// Which records the connected user sees and may edit.
namespace lockstep::sandbox {

using std::int64_t;

namespace {

constexpr int kDetailDepth = 4;  ///< a role of an opportunity of an account

std::optional<int64_t> target_of(const Org::Impl& org, int object, int64_t row, int field) {
    if (field < 0) return std::nullopt;
    const Cell cell = org.read_raw(object, row, field, Sight::Readers);
    const auto* id = std::get_if<std::string>(&cell);
    return id != nullptr ? org.resolve(*id) : std::nullopt;
}

/// By row of User: the connected user, and all whose role lies below its role.
std::vector<bool> users_below_us(const Org::Impl& org) {
    const int users = org.schema.find("User");
    const int roles = org.schema.find("UserRole");
    const int role_field = org.schema.at(users).find("UserRoleId");
    const int above_field = org.schema.at(roles).find("ParentRoleId");
    const std::optional<int64_t> us = org.resolve(org.integration_user_id);
    const std::optional<int64_t> our_role = target_of(org, users, packed_row(*us), role_field);
    std::vector<bool> below(static_cast<std::size_t>(org.table(users).rows()), false);
    below[static_cast<std::size_t>(packed_row(*us))] = true;
    for (int64_t row = 0; our_role && row < org.table(users).rows(); ++row) {
        std::optional<int64_t> role = target_of(org, users, row, role_field);
        // As many steps as there are roles: a hierarchy that bites its tail ends too.
        for (int64_t step = 0; role && step < org.table(roles).rows(); ++step) {
            role = target_of(org, roles, packed_row(*role), above_field);
            if (role == our_role) below[static_cast<std::size_t>(row)] = true;
        }
    }
    return below;
}

}  // namespace

void Org::Impl::note_privacy() {
    for (const auto& place : tables) anything_private = anything_private || place->sharing != Sharing::ReadWrite;
}

bool Org::Impl::owned_by_us(int object, int64_t row) const {
    const std::optional<int64_t> owner = target_of(*this, object, row, table(object).owner_field);
    if (!owner || packed_object(*owner) != schema.find("User")) return false;
    const std::lock_guard guard(lazy_mutex);
    if (!users_below) users_below = users_below_us(*this);
    const auto at = static_cast<std::size_t>(packed_row(*owner));
    return at < users_below->size() && (*users_below)[at];
}

bool Org::Impl::may(int object, int64_t row, bool edit, int depth) const {
    const Table& place = table(object);
    if (!anything_private || place.rights.modify_all || (place.rights.view_all && !edit)) return true;
    if (place.private_field >= 0 && read_raw(object, row, place.private_field, Sight::Readers) == Cell{true}) {
        return owned_by_us(object, row);
    }
    const bool detail = place.owner_field < 0 || place.sharing == Sharing::ByParent;
    if (!detail) {
        if (place.sharing == Sharing::ReadWrite) {
            // Tasks and events are their owner's and those who see what they are about.
            const std::string& name = schema.at(object).name;
            if (name != "Task" && name != "Event") return true;
        }
        if (place.sharing == Sharing::Read && !edit) return true;
    }
    if (owned_by_us(object, row)) return true;
    if (const auto share = place.shares.find(row); share != place.shares.end() && (!edit || share->second)) return true;
    if (!detail && place.sharing != Sharing::ReadWrite) return false;
    // A detail is seen by who sees one of those it belongs to. A role or a member of a campaign needs all of them.
    const bool needs_all = place.owner_field < 0;
    bool any = false;
    bool all = true;
    std::vector<int> parents = place.parent_fields;
    if (place.owner_field >= 0) {
        if (const int account = schema.at(object).find("AccountId"); account >= 0) parents.push_back(account);
    }
    bool has_parent = false;
    for (const int field : parents) {
        const std::optional<int64_t> target = target_of(*this, object, row, field);
        if (!target) continue;
        has_parent = true;
        const bool seen = depth < kDetailDepth && may(packed_object(*target), packed_row(*target), edit, depth + 1);
        any = any || seen;
        all = all && seen;
    }
    if (!has_parent) return place.owner_field < 0;  // a setting, a user; a contact without an account is its owner's
    return needs_all ? all : any;
}

Org::Sharing Org::sharing(int object) const {
    return impl_->table(object).sharing;
}
const Org::Rights& Org::rights(int object) const {
    return impl_->table(object).rights;
}
bool Org::sees(int object, int64_t row) const {
    return !impl_->anything_private || impl_->may(object, row, false);
}
bool Org::may_edit(int object, int64_t row) const {
    return !impl_->anything_private || impl_->may(object, row, true);
}

}  // namespace lockstep::sandbox
