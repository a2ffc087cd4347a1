#pragma once

#include <cstdint>

#include "base/world.h"
#include "sandbox/org.h"

namespace lockstep::sandbox {

/// What a sales team does to its org, one write after the other, drawn by chance. Salespeople act as the owner of the
/// record where the owner is one of the active ones, else as a colleague; automation acts as Automated Process.
///
///   of 1000   what                                                                            who
///        80   a lead arrives                                                                   automation
///       160   a lead is worked: called (Open → Working), phone, title, mail or rating
///             corrected, mail unsubscribed; one in twelve is closed without success            owner
///        15   a worked lead is converted; two in three bring an opportunity, one in five goes
///             into an account that exists and half of those into a contact of it               owner
///         9   a contact is added to an account                                                 salesperson
///        80   a contact's title, department, phone or mail changes, or mail is unsubscribed    owner
///        40   an account's industry, employees, revenue, phone or address changes              owner
///        50   an opportunity is opened for a contact, who becomes its primary role             owner of the contact
///       150   an opportunity moves through its stages (table below)                            owner
///        90   an opportunity's amount, close date or next step changes                         owner
///        40   a colleague of its account gets a role in an opportunity                         owner
///        20   a role changes, or becomes the primary one                                       salesperson
///        12   a role is removed                                                                salesperson
///        45   a score is written: Rating of a lead                                             automation
///        60   a call or a mail with a lead or a contact is logged                              owner
///        30   a task for an opportunity is planned                                             owner
///        40   an open task is done                                                             owner of the task
///        20   a meeting with a contact is planned                                              owner
///        30   a lead or a contact becomes a member of an active campaign                       automation
///        20   a member's status changes                                                        automation
///         2   two leads of one last name, or two contacts of one account, are merged           owner of the winner
///         3 + 1 + 2   a lead, a contact, an opportunity is deleted                             owner
///         1   something deleted comes back                                                     salesperson
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
