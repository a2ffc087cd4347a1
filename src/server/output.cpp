#include "server/output.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <ctime>
#include <ostream>

#include "base/json.h"
#include "base/text.h"

namespace lockstep::server {

namespace {

const char* code_of(Output::Style style) {
    switch (style) {
        case Output::Style::Bold:
            return "1";
        case Output::Style::Dim:
            return "2";
        case Output::Style::Good:
            return "32";
        case Output::Style::Warn:
            return "33";
        case Output::Style::Bad:
            return "31";
        case Output::Style::Plain:
            break;
    }
    return "";
}

/// `out` without the padding format_table leaves at the end of lines.
std::string without_trailing_blanks(const std::string& out) {
    std::string kept;
    for (const std::string& line : split(out, '\n')) {
        const std::size_t end = line.find_last_not_of(' ');
        kept += line.substr(0, end == std::string::npos ? 0 : end + 1) + "\n";
    }
    kept.pop_back();  // split gives one empty part after the last line end
    return kept;
}

void leave_out_blank_columns(std::vector<std::string>& header, std::vector<std::vector<std::string>>& rows) {
    for (std::size_t c = header.size(); c-- > 0;) {
        if (!std::ranges::all_of(rows, [&](const auto& row) { return c >= row.size() || row[c].empty(); })) continue;
        const auto place = static_cast<std::ptrdiff_t>(c);
        header.erase(header.begin() + place);
        for (auto& row : rows) {
            if (c < row.size()) row.erase(row.begin() + place);
        }
    }
}

std::tm local(Timestamp at) {
    const std::time_t seconds = at.seconds;
    std::tm parts{};
    localtime_r(&seconds, &parts);
    return parts;
}

}  // namespace

ExitCode exit_code(Kind kind) {
    switch (kind) {
        case Kind::Invalid:
            return kUsage;
        case Kind::NotFound:
            return kNotFound;
        case Kind::Denied:
            return kNotConnected;
        case Kind::Throttled:
        case Kind::Unavailable:
        case Kind::BadReply:
            return kUnreachable;
        case Kind::Rejected:
            return kPartly;
        case Kind::Conflict:
            return kLocked;
        case Kind::Cancelled:
            return kStopped;
    }
    return kInternal;
}

Terminal Terminal::of(int descriptor) {
    Terminal terminal;
    terminal.is_terminal = ::isatty(descriptor) == 1;
    if (!terminal.is_terminal) return terminal;
    const char* const kind = std::getenv("TERM");
    terminal.colours = std::getenv("NO_COLOR") == nullptr && kind != nullptr && std::string_view(kind) != "dumb";
    winsize size{};
    if (::ioctl(descriptor, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) terminal.columns = size.ws_col;
    return terminal;
}

std::string Output::paint(const Terminal& terminal, std::string_view text, Style style) {
    if (!terminal.colours || style == Style::Plain || text.empty()) return std::string(text);
    return fmt::format("\033[{}m{}\033[0m", code_of(style), text);
}

void Output::line(std::string_view text) {
    if (form_.json) return;
    out_ << text << "\n";
    out_.flush();
}

void Output::heading(std::string_view text) {
    line();
    line(styled(text, Style::Bold));
}

void Output::table(std::vector<std::string> header, std::vector<std::vector<std::string>> rows, const TableLook& look) {
    if (form_.json) return;
    if (rows.empty()) {
        line(styled(look.none, Style::Dim));
        return;
    }
    if (!look.blank_columns) leave_out_blank_columns(header, rows);
    const std::string text = without_trailing_blanks(format_table(header, rows, look.cell_width_max));
    const std::vector<std::string> lines = split(text, '\n');
    const std::size_t width = length_in_characters(lines.at(1));  // the rule is as wide as the table
    if (!form_.out.is_terminal || width <= form_.out.columns) {
        line(styled(lines.at(0), Style::Bold));
        line(styled(lines.at(1), Style::Dim));
        for (std::size_t i = 2; i + 1 < lines.size(); ++i) line(lines.at(i));
        return;
    }
    for (std::size_t i = 0; i < rows.size(); ++i) {
        if (i > 0) line();
        std::vector<std::pair<std::string, std::string>> block;
        for (std::size_t c = 0; c < header.size() && c < rows.at(i).size(); ++c) {
            block.emplace_back(header.at(c), rows.at(i).at(c));
        }
        pairs(block);
    }
}

void Output::pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
    std::size_t width = 0;
    for (const auto& [name, value] : pairs) {
        if (!value.empty()) width = std::max(width, length_in_characters(name));
    }
    for (const auto& [name, value] : pairs) {
        if (value.empty()) continue;
        const std::string padding(width - length_in_characters(name), ' ');
        // An address has lines of its own.
        line(styled(name, Style::Dim) + padding + "  " + join(split(value, '\n'), ", "));
    }
}

void Output::document(std::string_view text) {
    if (!form_.json) return;
    out_ << text;
    if (!text.ends_with('\n')) out_ << "\n";
    out_.flush();
}

void Output::document_line(std::string_view text) {
    document(text);
}

void Output::error(const Error& error) {
    this->error(name(error.kind), error.what, error.hint);
}

void Output::error(std::string_view kind, std::string_view sentence, std::string_view hint) {
    std::string what(sentence);
    if (!what.empty() && what.front() >= 'a' && what.front() <= 'z')
        what.front() = static_cast<char>(what.front() - 'a' + 'A');
    if (form_.json) {
        json::object inner{{"kind", kind}, {"what", what}, {"hint", hint}};
        document(to_pretty(json::object{{"error", std::move(inner)}}));
        return;
    }
    err_ << styled_err("lockstep:", Style::Bad) << " " << what << "\n";
    if (!hint.empty()) err_ << styled_err("hint:", Style::Bold) << " " << hint << "\n";
    err_.flush();
}

void Output::progress(std::string_view text) {
    err_ << text;
    err_.flush();
}

std::string local_text(Timestamp at) {
    const std::tm parts = local(at);
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}", parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday,
                       parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string local_clock(Timestamp at) {
    const std::tm parts = local(at);
    return fmt::format("{:02}:{:02}:{:02}", parts.tm_hour, parts.tm_min, parts.tm_sec);
}

std::string money(double amount) {
    const std::string digits = fmt::format("{:.2f}", std::abs(amount));
    const std::size_t point = digits.size() - 3;
    const std::string whole = digits.substr(0, point);
    const auto number = parse_int(whole);
    return (amount < 0 ? "-" : "") + (number ? with_thousands(*number) : whole) + digits.substr(point);
}

std::string counted(std::int64_t count, std::string_view object) {
    struct Word {
        std::string_view object, one, many;
    };
    static constexpr std::array kWords{
        Word{"Lead", "lead", "leads"},
        Word{"Contact", "contact", "contacts"},
        Word{"Account", "account", "accounts"},
        Word{"Opportunity", "opportunity", "opportunities"},
        Word{"OpportunityContactRole", "role", "roles"},
        Word{"OpportunityStage", "stage", "stages"},
        Word{"LeadStatus", "lead status", "lead statuses"},
        Word{"RecordType", "record type", "record types"},
        Word{"User", "user", "users"},
        Word{"Group", "group", "groups"},
        Word{"person", "person", "people"},
        Word{"activity", "activity", "activities"},
        Word{"company", "company", "companies"},
        Word{"link", "link", "links"},
        Word{"record", "record", "records"},
        Word{"other record", "other record", "other records"},
    };
    const auto* const word = std::ranges::find(kWords, object, &Word::object);
    const std::string number = with_thousands(count) + " ";
    if (word != kWords.end()) return number + std::string(count == 1 ? word->one : word->many);
    return number + std::string(object);
}

}  // namespace lockstep::server
