#pragma once

#include "store/database.h"

namespace lockstep::people {

/// Creates the tables of people, companies, identities, consent and opportunity links when they do not exist, with the
/// standard fields in `our_field`. Re-runnable; called once after Database::open.
///
/// person(id, company, owner, merged_into, …fields)       one row a person; dense ids, never reused
/// company(id, crm_id, …fields)                           an account, or (crm_id null) one lead's own company
/// identity(crm_id, person, object, live, how, since)     every Salesforce id a person ever had
/// consent(address, kind, state, source, at)              belongs to the folded address and outlives records
/// opportunity_link(role, opportunity, person, live)      one row a contact role whose both ends are known; `role` and
///                                                        `opportunity` are ls_row of the mirror tables
/// missing_parent(child, child_id, parent, parent_id, …)  references that point at records we have not got
void make_tables(store::Database& db);
/// Indexes that pay off only after the first build.
void make_indexes(store::Database& db);
/// Drops those of opportunity_link: who fills it anew drops them before, and makes all again after.
void drop_link_indexes(store::Database& db);

}  // namespace lockstep::people
