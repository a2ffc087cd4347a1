#pragma once

#include <cstddef>
#include <iosfwd>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace lockstep::server {

/// What the command line tells its user by the number it ends with (docs/scripting.md).
enum ExitCode : int {
    kDone = 0,
    kPartly = 1,        ///< some step, record or check failed
    kUsage = 2,         ///< the command line, a rules file or a settings file is wrong
    kNotConnected = 3,  ///< no credentials, or they were refused
    kUnreachable = 4,   ///< Salesforce can not be reached, is throttled, or answers nonsense
    kLocked = 5,        ///< another process works on this data, or it belongs to another organization
    kNotFound = 6,
    kInternal = 7,  ///< the database, the disk, or a mistake of ours
    kStopped = 130  ///< Ctrl-C or SIGTERM before the work was done
};
ExitCode exit_code(Kind kind);

/// Whether a stream is a terminal, and how wide; `colours` follows NO_COLOR and TERM as well.
struct Terminal {
    bool is_terminal = false;
    bool colours = false;
    std::size_t columns = 80;
    static Terminal of(int descriptor);
};

/// Where a command writes: for people on a terminal or in a pipe, or one JSON document for programs.
///
/// People's text goes to `out`, progress and errors to `err`; in JSON mode only the document and nothing else is
/// written to `out`. Not thread-safe.
class Output {
public:
    struct Form {
        bool json = false;
        Terminal out, err;
    };
    Output(std::ostream& out, std::ostream& err, Form form) : out_(out), err_(err), form_(form) {}

    bool json() const { return form_.json; }
    const Terminal& err_terminal() const { return form_.err; }

    /// One line for people; nothing in JSON mode.
    void line(std::string_view text = {});
    void heading(std::string_view text);
    /// A table; on a terminal too narrow for it, a block of "column  value" lines a row. An empty one prints `none`.
    /// Cells longer than `cell_width_max` characters end in "…".
    struct TableLook {
        std::string_view none = "none";
        bool blank_columns = true;  ///< false: columns without any value are left out
        std::size_t cell_width_max = 48;
    };
    void table(std::vector<std::string> header, std::vector<std::vector<std::string>> rows, const TableLook& look);
    void table(std::vector<std::string> header, std::vector<std::vector<std::string>> rows) {
        table(std::move(header), std::move(rows), TableLook());
    }
    /// Names and values below each other; pairs with an empty value are left out.
    void pairs(const std::vector<std::pair<std::string, std::string>>& pairs);
    /// The one document of JSON mode; nothing otherwise. `text` is JSON.
    void document(std::string_view text);
    /// A document on one line, for commands that go on: JSON mode only.
    void document_line(std::string_view text);
    /// An error for people on `err`, or as the document.
    void error(const Error& error);
    void error(std::string_view kind, std::string_view what, std::string_view hint);
    /// Straight to `err`, as it is.
    void progress(std::string_view text);

    enum class Style { Plain, Bold, Dim, Good, Warn, Bad };
    /// `text` as `out` shows it in that style: unchanged where colours are off.
    std::string styled(std::string_view text, Style style) const { return paint(form_.out, text, style); }
    std::string styled_err(std::string_view text, Style style) const { return paint(form_.err, text, style); }

private:
    static std::string paint(const Terminal& terminal, std::string_view text, Style style);
    std::ostream& out_;
    std::ostream& err_;
    Form form_;
};

/// In the zone of the user's machine: "2026-11-24 14:03:22", "14:03:22".
std::string local_text(Timestamp at);
std::string local_clock(Timestamp at);
/// "12,500.00"
std::string money(double amount);
/// "1 lead", "2 leads", "2 opportunities": the words people use for an object, counted.
std::string counted(std::int64_t count, std::string_view object);

}  // namespace lockstep::server
