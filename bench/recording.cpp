#include "bench/recording.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <stdexcept>

#include "base/csv.h"
#include "base/json.h"
#include "base/text.h"

namespace lockstep::bench {

namespace {

namespace fs = std::filesystem;

constexpr std::int64_t kRecordRows = 64 * Recorded::kStride;  // fetched at once
constexpr std::size_t kPieceBytes = 1u << 20;

/// Appends a page to the file and its places to the index.
void keep_page(const std::string& page, Recorded& recorded, std::ofstream& file, std::int64_t& bytes) {
    csv::Reader reader(page);
    std::vector<std::string_view> cells;
    const auto next = [&] {
        const Result<bool> more = reader.next(cells);
        if (!more) throw std::runtime_error("a page of the sandbox is no CSV: " + more.error().what);
        return *more;
    };
    if (!next()) throw std::runtime_error("a page of the sandbox has no header");
    const std::size_t header_bytes = page.find('\n') + 1;
    recorded.header = page.substr(0, header_bytes);
    while (next()) {
        // The first cell is an Id, which is quoted and holds no quote: it lies in the page.
        const std::int64_t at = cells.front().data() - 1 - page.data();
        if (recorded.rows++ % Recorded::kStride == 0) {
            recorded.starts.push_back(bytes + at - static_cast<std::int64_t>(header_bytes));
        }
    }
    file.write(page.data() + header_bytes, static_cast<std::streamsize>(page.size() - header_bytes));
    bytes += static_cast<std::int64_t>(page.size() - header_bytes);
}

http::Answer json_answer(int status, const json::value& value) {
    return {.status = status, .headers = {{"Content-Type", "application/json"}}, .body = json::serialize(value)};
}

http::Answer refusal(const std::string& why) {
    return json_answer(400, json::array{json::object{{"errorCode", "INVALIDJOB"}, {"message", why}}});
}

json::object job_of(const Recorded& recorded) {
    return {{"id", recorded.job},
            {"operation", "queryAll"},
            {"object", recorded.object},
            {"state", "JobComplete"},
            {"numberRecordsProcessed", recorded.rows}};
}

void replace_all(std::string& text, const std::string& what, const std::string& by) {
    for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + by.size())) {
        text.replace(at, what.size(), by);
    }
}

/// An open file, closed with its last user.
class File {
public:
    explicit File(const fs::path& path) : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
        if (file_ < 0) throw std::runtime_error("a recorded page is gone: " + path.string());
    }
    ~File() { ::close(file_); }
    File(const File&) = delete;
    File& operator=(const File&) = delete;
    void append(std::int64_t from, std::size_t count, std::string& out) const {
        const std::size_t before = out.size();
        out.resize(before + count);
        const ssize_t got = ::pread(file_, out.data() + before, count, from);
        if (got != static_cast<ssize_t>(count)) throw std::runtime_error("a recorded page is cut");
    }

private:
    int file_;
};

}  // namespace

std::vector<Recorded> record(Org& org, const fs::path& folder) {
    fs::create_directories(folder);
    std::vector<Recorded> all;
    for (const std::string& object : kMainObjects) {
        Recorded recorded{.object = object,
                          .job = org.bulk_job(object),
                          .fields = org.fields(object),
                          .file = folder / (object + ".csv")};
        std::ofstream file(recorded.file, std::ios::binary);
        std::int64_t bytes = 0;
        for (std::string locator; locator != "null";) {
            const std::string path = "/jobs/query/" + recorded.job +
                                     "/results?maxRecords=" + std::to_string(kRecordRows) +
                                     (locator.empty() ? "" : "&locator=" + locator);
            const http::Response page = org.ask("GET", path);
            keep_page(page.body, recorded, file, bytes);
            locator = page.header("Sforce-Locator");
            if (locator.empty()) throw std::runtime_error("a page of the sandbox has no locator");
        }
        file.close();
        if (!file) throw std::runtime_error("the pages of " + object + " can not be written to " + folder.string());
        recorded.starts.push_back(bytes);
        all.push_back(std::move(recorded));
    }
    return all;
}

Replay::Replay(const Org& org, const std::vector<Recorded>& recorded)
    : org_(org), recorded_(recorded), sender_(http::network_sender("lockstep-bench")) {
    server_ = std::make_unique<http::Server>(http::ServeOptions{},
                                             [this](const http::Request& request) { return answer(request); });
}

http::Answer Replay::answer(const http::Request& request) {
    const std::string path = request.path();
    const std::size_t jobs = path.find("/jobs/query");
    if (jobs == std::string::npos) return pass_on(request);
    const std::vector<std::string> parts =
        split(std::string_view(path).substr(jobs + 1), '/');  // jobs query ID results
    if (parts.size() == 2 && request.method == "POST") return create_job(request.body);
    if (parts.size() < 3) return refusal("not recorded");
    const auto found = std::ranges::find(recorded_, parts[2], &Recorded::job);
    if (found == recorded_.end()) return refusal("not recorded");
    return parts.size() == 3 ? json_answer(200, job_of(*found)) : page(*found, request);
}

http::Answer Replay::create_job(const std::string& body) const {
    const Result<json::value> parsed = parse_json(body);
    const std::string soql = parsed && parsed->is_object() ? text_at(parsed->get_object(), "query").value_or("") : "";
    for (const Recorded& recorded : recorded_) {
        if (soql == "SELECT " + join(names_of(recorded.fields), ",") + " FROM " + recorded.object) {
            return json_answer(200, job_of(recorded));
        }
    }
    return refusal("not recorded: " + soql);
}

http::Answer Replay::page(const Recorded& recorded, const http::Request& request) const {
    const std::int64_t from = parse_int(request.query("locator")).value_or(0);
    const std::int64_t wanted = parse_int(request.query("maxRecords")).value_or(recorded.rows);
    const std::int64_t most = std::max(wanted / Recorded::kStride, std::int64_t{1}) * Recorded::kStride;
    const std::int64_t end = std::min(recorded.rows, from + most);
    if (from % Recorded::kStride != 0 || from > recorded.rows) return refusal("no page begins there");
    const auto place = [&](std::int64_t row) {
        return row == recorded.rows ? recorded.starts.back()
                                    : recorded.starts[static_cast<std::size_t>(row / Recorded::kStride)];
    };
    http::Answer answer;
    answer.headers = {{"Content-Type", "text/csv;charset=UTF-8"},
                      {"Sforce-NumberOfRecords", std::to_string(end - from)},
                      {"Sforce-Locator", end < recorded.rows ? std::to_string(end) : "null"}};
    answer.pieces = [file = std::make_shared<File>(recorded.file), header = recorded.header, at = place(from),
                     last = place(end)](std::string& piece) mutable {
        piece.append(header);
        header.clear();
        const auto count = std::min(kPieceBytes, static_cast<std::size_t>(last - at));
        file->append(at, count, piece);
        at += static_cast<std::int64_t>(count);
        return at < last;
    };
    return answer;
}

http::Answer Replay::pass_on(const http::Request& request) {
    http::Request asked{
        .method = request.method, .target = org_.url() + request.target, .headers = {}, .body = request.body};
    for (const char* const name : {"Authorization", "Content-Type", "Accept", "Sforce-Query-Options"}) {
        if (const auto value = request.header(name); !value.empty()) asked.headers[name] = value;
    }
    Result<http::Response> got = sender_->send(asked);
    if (!got) return {.status = 502, .headers = {}, .body = to_string(got.error())};
    http::Answer answer{.status = got->status, .headers = std::move(got->headers), .body = std::move(got->body)};
    replace_all(answer.body, org_.url(), url());  // a token tells where its org is
    return answer;
}

}  // namespace lockstep::bench
