#pragma once

#include <cstdint>

#include "base/world.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// What a sales team does to its org, one write after the other, drawn by chance. Salespeople act as the owner of the
/// record where the owner is one of the active ones, else as a colleague; automation acts as Automated Process.
///
///   of 1000   what                                                                            who
///        90   a lead arrives                                                                   automation
///       220   a lead is worked: called (Open → Working), phone, title, mail or rating
///             corrected; one in twelve is closed without success                               owner
///        15   a worked lead is converted; two in three bring an opportunity                    owner
///         9   a contact is added to an account                                                 salesperson
///       100   a contact's title, department, phone or mail changes                             owner
///        50   an account's industry, employees, revenue, phone or address changes              owner
///        60   an opportunity is opened for a contact, who becomes its primary role             owner of the contact
///       190   an opportunity moves through its stages (table below)                            owner
///       110   an opportunity's amount, close date or next step changes                         owner
///        45   a colleague of its account gets a role in an opportunity                         owner
///        25   a role changes, or becomes the primary one                                       salesperson
///        15   a role is removed                                                                salesperson
///        60   a score is written: Rating of a lead                                             automation
///         4 + 2 + 3   a lead, a contact, an opportunity is deleted                             owner
///         2   something deleted comes back                                                     salesperson
///
///   stage                   next stage   lost   stays, and the close date moves by two to six weeks
///   Prospecting                 70 %     12 %     18 %
///   Qualification               66       16       18
///   Needs Analysis              68       14       18
///   Value Proposition           66       14       20
///   Id. Decision Makers         68       12       20
///   Perception Analysis         66       14       20
///   Proposal/Price Quote        64       18       18
///   Negotiation/Review          68       20       12        (next: Closed Won)
///
/// One step in ten skips a stage. Half of what is picked is picked among the 500 newest rows, as people work on what
/// is new. Where nothing fits – an org without opportunities, say – a lead arrives instead.
struct LifeReport {
    int done = 0;
    int refused = 0;  ///< writes that the org's own rules refused, such as a required field of an org file
};

/// Makes `changes` changes at the org's present time. The same random numbers on the same org make the same changes.
/// Cost: some 10 to 50 microseconds a change, whatever the size of the org. Call under write_lock().
LifeReport live(Org& org, Random& random, int changes);

}  // namespace lockstep::sandbox
