#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "server/output.h"
#include "store/journal.h"
#include "sync/engine.h"

namespace lockstep::server {

/// What a cycle brought, as half a sentence: "3 leads, 5 opportunities changed; 2 roles added; 7 activities".
std::string brought(const sync::CycleReport& report);
/// Objects with their counts, failures below.
void print_summary(Output& out, const sync::CycleReport& report);
/// The cycle as JSON, on one line.
std::string cycle_json(const sync::CycleReport& report);
std::string step_json(const store::Step& step);

/// Shows a cycle while it runs. On a terminal one line that is drawn over (rows, rows a second, share, time left) and a
/// line for each object that is done; elsewhere one plain line a step.
class Progress : public sync::Watcher {
public:
    enum class Detail { Full, Quiet };  ///< Quiet: first loads only
    Progress(Output& out, Clock& clock, Detail detail) : out_(out), clock_(clock), detail_(detail) {}
    ~Progress() override { clear(); }

    void load_progress(const std::string& object, std::int64_t rows, std::int64_t expected, const char* phase) override;
    void step_done(const store::Step& step) override;
    void note(const std::string& sentence) override;
    /// Takes the line that is drawn over away.
    void clear();

private:
    void print(const std::string& line);
    Output& out_;
    Clock& clock_;
    const Detail detail_;
    bool drawn_ = false;
    std::int64_t drawn_at_ms_ = 0;
    struct Load {
        std::int64_t started_ms = 0, rows_at_start = 0, rows = 0, expected = 0;
        std::string phase;
    };
    std::map<std::string, Load> loads_;
};

/// Rows, share, speed and time left: "Lead  12,400 of 20,000  62 %  18,300 rows/s  1 s left".
std::string load_line(const std::string& object, std::int64_t rows, std::int64_t expected, std::int64_t rows_per_s,
                      const std::string& phase);

}  // namespace lockstep::server
