#include "sandbox/bulk.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/csv.h"
#include "base/json.h"
#include "base/sfid.h"
#include "base/text.h"
#include "sandbox/records.h"
#include "sandbox/soql.h"

namespace lockstep::sandbox {
namespace {

constexpr std::size_t jobs_max = 1000;                 // kept of each kind; the oldest finished ones go first
constexpr std::size_t block_bytes = 1u << 20;          // of a result, made under one lock
constexpr std::size_t upload_bytes_max = 100'000'000;  // raw; 150 MB once encoded
constexpr std::int64_t batch_rows = 10'000;
constexpr std::int64_t chunk_rows = 200;  // saved together
constexpr std::int64_t query_jobs_max = 10'000;
constexpr std::int64_t batches_max = 15'000;
constexpr std::int64_t day_s = 86'400;

struct Delimiter {
    const char* name;
    char sign;
};
constexpr Delimiter delimiters[] = {{"BACKQUOTE", '`'}, {"CARET", '^'},     {"COMMA", ','},
                                    {"PIPE", '|'},      {"SEMICOLON", ';'}, {"TAB", '\t'}};

/// Objects that the platform serves by REST only.
constexpr const char* not_in_bulk[] = {
    "AcceptedEventRelation", "Attachment",   "CaseStatus",  "ContractStatus",
    "DeclinedEventRelation", "OrderStatus",  "PartnerRole", "RecentlyViewed",
    "SolutionStatus",        "TaskPriority", "TaskStatus",  "UndecidedEventRelation"};

bool is_in_bulk(std::string_view object) {
    return std::none_of(std::begin(not_in_bulk), std::end(not_in_bulk),
                        [&](const char* name) { return equals_ignoring_case(name, object); });
}

/// What a job's creation and its answers have in common.
struct Form {
    std::string delimiter = "COMMA", line_ending = "LF";
    char sign = ',';
    bool crlf() const { return line_ending == "CRLF"; }
};

/// Errors: the answer.
std::optional<http::Answer> read_form(const json::object& body, Form& form) {
    if (const auto type = text_at(body, "contentType"); type && *type != "CSV")
        return error_answer(400, "INVALIDJOB", "Unsupported content type: " + *type);
    if (const auto ending = text_at(body, "lineEnding")) form.line_ending = *ending;
    if (form.line_ending != "LF" && form.line_ending != "CRLF")
        return error_answer(400, "INVALIDJOB", "Unsupported line ending: " + form.line_ending);
    if (const auto delimiter = text_at(body, "columnDelimiter")) form.delimiter = *delimiter;
    const auto known = std::find_if(std::begin(delimiters), std::end(delimiters),
                                    [&](const Delimiter& d) { return d.name == form.delimiter; });
    if (known == std::end(delimiters))
        return error_answer(400, "INVALIDJOB", "Unsupported column delimiter: " + form.delimiter);
    form.sign = known->sign;
    return std::nullopt;
}

std::string locator_of(std::int64_t row) {
    std::string text = to_base64(std::to_string(row));
    while (!text.empty() && text.back() == '=') text.pop_back();
    return text;
}

std::optional<std::int64_t> row_of_locator(std::string text) {
    while (text.size() % 4 != 0) text += '=';
    const auto number = from_base64(text);
    const auto row = number ? parse_int(*number) : std::nullopt;
    return row && *row >= 0 ? row : std::nullopt;
}

/// Whether the statement orders its rows: the canonical text has its keywords in capitals, outside quotes.
bool is_ordered(const std::string& text) {
    std::string bare;
    bool in_literal = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (in_literal && text[i] == '\\') {
            ++i;
        } else if (text[i] == '\'') {
            in_literal = !in_literal;
        } else if (!in_literal) {
            bare += text[i];
        }
    }
    return bare.find(" ORDER BY ") != std::string::npos;
}

void append_cells(std::string& out, const std::vector<std::string_view>& cells, const Form& form) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
        if (i > 0) out += form.sign;
        csv::append_quoted(out, cells[i]);
    }
    out += form.crlf() ? "\r\n" : "\n";
}

/// The name of the first object after a FROM that stands outside parentheses and quotes.
std::string object_of_soql(std::string_view soql) {
    int depth = 0;
    bool in_literal = false;
    for (std::size_t i = 0; i < soql.size(); ++i) {
        const char c = soql[i];
        if (c == '\'') in_literal = !in_literal;
        if (in_literal) continue;
        if (c == '(') ++depth;
        if (c == ')') --depth;
        const bool starts_word = i > 0 && (soql[i - 1] == ' ' || soql[i - 1] == '\n' || soql[i - 1] == '\t');
        if (depth == 0 && starts_word && equals_ignoring_case(soql.substr(i, 4), "FROM") && i + 5 < soql.size()) {
            const std::string_view rest = trim(soql.substr(i + 4));
            return std::string(rest.substr(0, rest.find_first_of(" \n\t,)")));
        }
    }
    return "";
}

enum class State { Open, UploadComplete, InProgress, JobComplete, Failed, Aborted };
const char* name(State state) {
    static const char* const names[] = {"Open", "UploadComplete", "InProgress", "JobComplete", "Failed", "Aborted"};
    return names[static_cast<int>(state)];
}
bool is_over(State state) {
    return state == State::JobComplete || state == State::Failed || state == State::Aborted;
}

/// What both kinds of jobs know.
struct JobBase {
    std::mutex mutex;  ///< guards state and what it brings; the rest is fixed at creation
    std::string id, operation, object, created_by, version;
    Timestamp created;
    Form form;
    std::string fate;  ///< "job_failed", "job_aborted", "job_stuck": planned by a fault
    std::string fate_text;

    State state = State::Open;
    Timestamp changed;
    bool running = false;           ///< somebody does its work, without holding the lock
    std::int64_t submitted_ms = 0;  ///< monotonic
    std::int64_t took_ms = 0;
    std::int64_t processed = 0, failed = 0;
    std::string error;
};

void append_job(std::string& out, const JobBase& job) {
    append_member(out, "id", job.id);
    append_member(out, "operation", job.operation);
    append_member(out, "object", job.object);
    append_member(out, "createdById", job.created_by);
    append_member(out, "createdDate", wire_time(job.created));
    append_member(out, "systemModstamp", wire_time(job.changed));
    append_member(out, "state", name(job.state));
}

void append_form(std::string& out, const JobBase& job) {
    append_member(out, "lineEnding", job.form.line_ending);
    append_member(out, "columnDelimiter", job.form.delimiter);
}

http::Answer wrong_state(std::string text) {
    return error_answer(400, "INVALIDJOBSTATE", std::move(text));
}

/// Sends `text` in blocks. The text is owned by the job and by every transfer of it.
void send_text(http::Answer& answer, std::string header, std::shared_ptr<const std::string> text) {
    answer.pieces = [header = std::move(header), text = std::move(text),
                     at = std::size_t(0)](std::string& piece) mutable {
        piece.assign(header);
        header.clear();
        if (at < text->size()) {
            piece.append(*text, at, block_bytes);
            at = std::min(text->size(), at + block_bytes);
        }
        return !piece.empty();
    };
}

}  // namespace

// ---- the jobs

/// The rows found, in the order they are sent. Shared with transfers that outlive the job.
struct Bulk::Found {
    ResultSet rows;
    bool shuffled = false;
    std::uint64_t seed = 0;

    /// Appends rows [from, from+count) of the order they are sent in.
    void append(const Org& org, std::int64_t from, std::int64_t count, std::string& out, CsvForm form) const {
        constexpr std::int64_t block = 64;
        const std::int64_t blocks = rows.records() / block;
        if (!shuffled || blocks < 2) {
            rows.append_csv_rows(org, from, count, out, form);
            return;
        }
        // Blocks in an order of their own: position p holds block (p * step + start) mod blocks. The rows after the
        // last whole block stay where they are.
        std::int64_t step = blocks * 5 / 8 + 1;
        while (std::gcd(step, blocks) != 1) ++step;
        const auto start = static_cast<std::int64_t>(mix64(seed) % static_cast<std::uint64_t>(blocks));
        for (const std::int64_t end = from + count; from < end;) {
            const std::int64_t position = from / block;
            const std::int64_t within = from % block;
            if (position >= blocks) {
                rows.append_csv_rows(org, from, end - from, out, form);
                return;
            }
            const std::int64_t taken = std::min(block - within, end - from);
            const std::int64_t source = (position * step + start) % blocks * block + within;
            rows.append_csv_rows(org, source, taken, out, form);
            from += taken;
        }
    }
};

struct Bulk::QueryOutcome {
    std::shared_ptr<const Found> found;
    std::string error;  ///< empty: it went well
};

struct Bulk::IngestOutcome {
    std::string error;  ///< of the upload as a whole; empty: its rows were processed
    std::int64_t processed = 0, failed = 0;
    std::shared_ptr<const std::string> succeeded, failures;
};

struct Bulk::QueryJob : JobBase {
    explicit QueryJob(Query q) : query(std::move(q)) {}
    Query query;
    std::shared_ptr<const Found> found;

    void take(QueryOutcome outcome) {
        if (state != State::InProgress) return;  // aborted meanwhile
        state = outcome.found ? State::JobComplete : State::Failed;
        error = std::move(outcome.error);
        found = std::move(outcome.found);
        processed = found ? found->rows.records() : 0;
    }

    std::string json(bool just_created) const {
        std::string out = "{";
        append_job(out, *this);
        append_member(out, "concurrencyMode", "Parallel");
        append_member(out, "contentType", "CSV");
        append_raw_member(out, "apiVersion", version);
        if (!just_created) append_member(out, "jobType", "V2Query");
        append_form(out, *this);
        if (!just_created) {
            if (state == State::JobComplete)
                append_raw_member(out, "numberRecordsProcessed", std::to_string(processed));
            append_raw_member(out, "retries", "0");
            append_raw_member(out, "totalProcessingTime", std::to_string(took_ms));
            if (!error.empty()) append_member(out, "errorMessage", error);
            append_raw_member(out, "isPkChunkingSupported", "true");
        }
        return out + "}";
    }
};

struct Bulk::IngestJob : JobBase {
    std::string key;  ///< externalIdFieldName of an upsert
    bool uploaded = false;
    std::vector<std::string> columns;         ///< of the uploaded header row
    std::shared_ptr<const std::string> data;  ///< shared with who does the work; dropped once all of it is processed
    /// Result rows without their header; owned by the job and its transfers.
    std::shared_ptr<const std::string> succeeded = std::make_shared<const std::string>(), failures = succeeded;

    void take(IngestOutcome outcome) {
        if (state == State::InProgress) state = outcome.error.empty() ? State::JobComplete : State::Failed;
        error = std::move(outcome.error);
        processed = outcome.processed;
        failed = outcome.failed;
        if (outcome.succeeded) succeeded = std::move(outcome.succeeded);
        if (outcome.failures) failures = std::move(outcome.failures);
        if (error.empty()) data.reset();
    }

    std::string json(bool just_created) const {
        std::string out = "{";
        append_job(out, *this);
        if (!key.empty()) append_member(out, "externalIdFieldName", key);
        append_member(out, "concurrencyMode", "Parallel");
        append_member(out, "contentType", "CSV");
        append_raw_member(out, "apiVersion", version);
        if (!just_created) append_member(out, "jobType", "V2Ingest");
        append_member(out, "contentUrl", "services/data/v" + version + "/jobs/ingest/" + id + "/batches");
        append_form(out, *this);
        if (!just_created) {
            append_raw_member(out, "retries", "0");
            append_raw_member(out, "totalProcessingTime", std::to_string(took_ms));
            append_raw_member(out, "apiActiveProcessingTime", std::to_string(took_ms));
            append_raw_member(out, "apexProcessingTime", "0");
            append_raw_member(out, "numberRecordsProcessed", std::to_string(processed));
            append_raw_member(out, "numberRecordsFailed", std::to_string(failed));
            if (!error.empty()) append_member(out, "errorMessage", error);
        }
        return out + "}";
    }
};

Bulk::Bulk(Org& org, Rest& rest, const SettingsBox& settings, World& world)
    : org_(org), rest_(rest), settings_(settings), world_(world) {}
Bulk::~Bulk() = default;

template <class Job>
std::shared_ptr<Job> Bulk::find(const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs,
                                std::string_view id) {
    const auto id18 = normalize_id(id);
    const std::scoped_lock lock(mutex_);
    const auto found = id18 ? jobs.find(*id18) : jobs.end();
    return found == jobs.end() ? nullptr : found->second;
}

template <class Job>
void Bulk::keep(std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs, std::shared_ptr<Job> job) {
    const std::scoped_lock lock(mutex_);
    if (jobs.size() >= jobs_max) {
        const auto finished = std::find_if(jobs.begin(), jobs.end(), [](const auto& entry) {
            const std::scoped_lock job_lock(entry.second->mutex);
            return is_over(entry.second->state);
        });
        jobs.erase(finished == jobs.end() ? jobs.begin() : finished);
    }
    jobs[job->id] = std::move(job);
}

std::string Bulk::new_id() {
    constexpr std::string_view digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    const std::scoped_lock lock(mutex_);
    std::int64_t number = ++jobs_made_;
    std::string id = "750D00000000000";
    for (std::size_t at = id.size(); number > 0 && at > 6; number /= 62) id[--at] = digits[number % 62];
    return id + id_suffix(id);
}

template <class Job>
http::Answer Bulk::list(const Call& call, const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs) {
    constexpr std::size_t page = 100;
    std::vector<std::shared_ptr<Job>> shown;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [id, job] : jobs) shown.push_back(job);
    }
    const auto from = static_cast<std::size_t>(row_of_locator(call.request.query("queryLocator")).value_or(0));
    const std::string records = [&] {
        std::string out;
        for (std::size_t i = from; i < std::min(shown.size(), from + page); ++i) {
            progress(*shown[i]);
            const std::scoped_lock lock(shown[i]->mutex);
            out += (out.empty() ? "" : ",") + shown[i]->json(false);
        }
        return out;
    }();
    const bool done = from + page >= shown.size();
    std::string body = "{";
    append_raw_member(body, "done", done ? "true" : "false");
    append_raw_member(body, "records", "[" + records + "]");
    const std::string kind = std::is_same_v<Job, QueryJob> ? "query" : "ingest";
    append_raw_member(body, "nextRecordsUrl",
                      done ? "null"
                           : json_text(call.base() + "/jobs/" + kind +
                                       "?queryLocator=" + locator_of(static_cast<std::int64_t>(from + page))));
    return json_answer(200, body + "}");
}

namespace {

/// Moves a submitted job on by the time that passed. Returns true when its work is due. The job's lock is held.
bool move_on(JobBase& job, std::int64_t job_ms, std::int64_t mono_ms, Timestamp now) {
    if (job.running || (job.state != State::UploadComplete && job.state != State::InProgress)) return false;
    const std::int64_t passed_ms = mono_ms - job.submitted_ms;
    if (job.state == State::UploadComplete && 2 * passed_ms >= job_ms) {
        job.state = State::InProgress;
        job.changed = now;
    }
    if (passed_ms < job_ms || job.fate == "job_stuck") return false;
    job.took_ms = std::max<std::int64_t>(1, passed_ms);
    job.changed = now;
    job.state = State::InProgress;
    if (job.fate == "job_failed") {
        job.state = State::Failed;
        job.error = job.fate_text.empty() ? "InternalServerError : An unexpected error occurred" : job.fate_text;
        return false;
    }
    if (job.fate == "job_aborted") {
        job.state = State::Aborted;
        return false;
    }
    return true;
}

Timestamp org_now(const Org& org) {
    const auto lock = org.read_lock();
    return org.now();
}

}  // namespace

template <class Job>
void Bulk::progress(Job& job) {
    {
        const Timestamp now = org_now(org_);
        const std::scoped_lock lock(job.mutex);
        if (!move_on(job, settings_.get().job_ms, world_.clock.mono_ms(), now)) return;
        job.running = true;
    }
    // Meanwhile others find the job InProgress, and may abort it.
    const std::int64_t started_ms = world_.clock.mono_ms();
    auto outcome = run(job);
    const Timestamp now = org_now(org_);
    const std::scoped_lock lock(job.mutex);
    job.running = false;
    job.took_ms += world_.clock.mono_ms() - started_ms;
    job.changed = now;
    job.take(std::move(outcome));
}

template <class Job>
http::Answer Bulk::show(const Call& call, const std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs) {
    const auto job = find(jobs, call.args.at(0));
    if (!job) return not_found();
    progress(*job);
    const std::scoped_lock lock(job->mutex);
    return json_answer(200, job->json(false));
}

template <class Job>
http::Answer Bulk::remove(const Call& call, std::map<std::string, std::shared_ptr<Job>, std::less<>>& jobs) {
    const auto job = find(jobs, call.args.at(0));
    if (!job) return not_found();
    progress(*job);
    {
        const std::scoped_lock lock(job->mutex);
        if (!is_over(job->state))
            return wrong_state("Deleting is not allowed: the job is in the state " + std::string(name(job->state)) +
                               ".");
    }
    const std::scoped_lock lock(mutex_);
    jobs.erase(job->id);
    return empty_answer(204);
}

std::optional<std::int64_t> Bulk::run_due() {
    std::vector<std::shared_ptr<QueryJob>> queries;
    std::vector<std::shared_ptr<IngestJob>> ingests;
    {
        const std::scoped_lock lock(mutex_);
        for (const auto& [id, job] : queries_) queries.push_back(job);
        for (const auto& [id, job] : ingests_) ingests.push_back(job);
    }
    const std::int64_t job_ms = settings_.get().job_ms;
    std::optional<std::int64_t> next_ms;
    const auto look = [&](auto& job) {
        progress(job);
        const std::scoped_lock lock(job.mutex);
        if (is_over(job.state) || job.state == State::Open || job.fate == "job_stuck") return;
        const std::int64_t left_ms = std::max<std::int64_t>(1, job.submitted_ms + job_ms - world_.clock.mono_ms());
        next_ms = std::min(next_ms.value_or(left_ms), left_ms);
    };
    for (const auto& job : queries) look(*job);
    for (const auto& job : ingests) look(*job);
    return next_ms;
}

std::string Bulk::object_of(std::string_view job_id) {
    if (const auto job = find(queries_, job_id)) return job->object;
    if (const auto job = find(ingests_, job_id)) return job->object;
    return "";
}

std::string Bulk::object_of_creation(std::string_view body) {
    const auto parsed = parse_json(body);
    if (!parsed.ok() || !parsed->is_object()) return "";
    if (const auto object = text_at(parsed->as_object(), "object")) return *object;
    return object_of_soql(text_at(parsed->as_object(), "query").value_or(""));
}

Bulk::Used Bulk::used_today() {
    const Timestamp day_ago = org_now(org_).plus(-day_s);
    const std::scoped_lock lock(mutex_);
    for (auto* times : {&query_jobs_at_, &batches_at_})
        std::erase_if(*times, [&](Timestamp at) { return at < day_ago; });
    return {static_cast<std::int64_t>(query_jobs_at_.size()), static_cast<std::int64_t>(batches_at_.size())};
}

// ---- query jobs

http::Answer Bulk::create_query(const Call& call) {
    const auto parsed = parse_json(call.request.body);
    if (!parsed.ok() || !parsed->is_object())
        return error_answer(400, "JSON_PARSER_ERROR",
                            parsed.ok() ? "The request body must be a JSON object" : parsed.error().what);
    const json::object& body = parsed->as_object();
    const std::string operation = text_at(body, "operation").value_or("");
    if (operation != "query" && operation != "queryAll")
        return error_answer(400, "INVALIDJOB", "Invalid operation: " + operation + ". Use query or queryAll.");
    const std::string soql = text_at(body, "query").value_or("");
    if (trim(soql).empty()) return error_answer(400, "MALFORMED_QUERY", "SOQL statements cannot be empty or null");
    Form form;
    if (auto refusal = read_form(body, form)) return *refusal;
    if (used_today().query_jobs >= query_jobs_max)
        return error_answer(400, "LIMIT_EXCEEDED", "The limit of query jobs in 24 hours is reached.");

    std::shared_ptr<QueryJob> job;
    {
        const auto lock = org_.read_lock();
        auto query = Query::prepare(soql, org_, {.all_rows = operation == "queryAll", .keep_lost = true});
        if (!query.ok()) return error_answer(query.error());
        const Object& object = org_.schema().at(query->object());
        if (!object.queryable || !is_in_bulk(object.name))
            return error_answer(400, "INVALIDENTITY", "Entity '" + object.name + "' is not supported by the Bulk API.");
        if (const auto refusal = query->bulk_refusal()) return error_answer(*refusal);
        job = std::make_shared<QueryJob>(std::move(*query));
        job->object = object.name;
        job->created = job->changed = org_.now();
    }
    job->id = new_id();
    job->operation = operation;
    job->created_by = call.user;
    job->version = call.version;
    job->form = form;
    job->fate = call.job_fate;
    job->fate_text = call.job_fate_text;
    job->state = State::UploadComplete;
    job->submitted_ms = world_.clock.mono_ms();
    const std::string answer = job->json(true);
    {
        const std::scoped_lock lock(mutex_);
        query_jobs_at_.push_back(job->created);
    }
    keep(queries_, std::move(job));
    return json_answer(200, answer);
}

Bulk::QueryOutcome Bulk::run(const QueryJob& job) {
    const auto lock = org_.read_lock();
    auto rows = run_query(job.query, org_);
    if (!rows.ok()) return {nullptr, rows.error().code + " : " + rows.error().what};
    auto found = std::make_shared<Found>();
    found->rows = std::move(*rows);
    found->shuffled = settings_.get().bulk_shuffled && !is_ordered(job.query.text());
    for (const char c : job.id) found->seed = mix64(found->seed + static_cast<unsigned char>(c));
    return {std::move(found), ""};
}

http::Answer Bulk::list_queries(const Call& call) {
    return list(call, queries_);
}

http::Answer Bulk::query_job(const Call& call) {
    return show(call, queries_);
}

http::Answer Bulk::change_query(const Call& call) {
    const auto job = find(queries_, call.args.at(0));
    if (!job) return not_found();
    const auto parsed = parse_json(call.request.body);
    if (!parsed.ok() || !parsed->is_object() || text_at(parsed->as_object(), "state") != "Aborted")
        return error_answer(400, "INVALIDJOB", "A query job can only be set to the state Aborted.");
    progress(*job);
    const std::scoped_lock lock(job->mutex);
    if (is_over(job->state))
        return wrong_state("Aborting is not allowed: the job is in the state " + std::string(name(job->state)) + ".");
    job->state = State::Aborted;
    job->changed = org_now(org_);
    return json_answer(200, job->json(false));
}

http::Answer Bulk::remove_query(const Call& call) {
    return remove(call, queries_);
}

namespace {

http::Answer wrong_version(const std::string& asked, const std::string& made) {
    return error_answer(
        409, "API_ERROR",
        "The job was created with API version " + made + "; its results can not be read with " + asked + ".");
}

}  // namespace

http::Answer Bulk::query_results(const Call& call) {
    const auto job = find(queries_, call.args.at(0));
    if (!job || call.result_expired) return not_found();
    progress(*job);
    std::shared_ptr<const Found> found;
    {
        const std::scoped_lock lock(job->mutex);
        if (job->state != State::JobComplete)
            return wrong_state("Results are not available: the job is in the state " + std::string(name(job->state)) +
                               ".");
        found = job->found;
    }
    if (job->version != call.version) return wrong_version(call.version, job->version);
    std::int64_t from = 0;
    if (const std::string locator = call.request.query("locator"); !locator.empty() && locator != "null") {
        const auto row = row_of_locator(locator);
        if (!row || *row > found->rows.records())
            return error_answer(400, "INVALID_QUERY_LOCATOR", "invalid query locator");
        from = *row;
    }
    std::int64_t rows_max = settings_.get().bulk_page_rows;
    if (call.request.has_query("maxRecords")) {
        const auto asked = parse_int(call.request.query("maxRecords"));
        if (!asked || *asked <= 0)
            return error_answer(400, "INVALIDREQUEST", "maxRecords must be a whole number above zero.");
        rows_max = *asked;
    }
    const std::int64_t end = std::min(found->rows.records(), from + std::min(rows_max, found->rows.records()));
    const CsvForm form{.delimiter = job->form.sign, .crlf = job->form.crlf()};

    http::Answer answer;
    answer.headers["Content-Type"] = "text/csv;charset=UTF-8";
    // On one machine packing takes ten times as long as sending; the server leaves alone what names its coding.
    if (!settings_.get().bulk_gzip) answer.headers["Content-Encoding"] = "identity";
    answer.headers["Sforce-NumberOfRecords"] = std::to_string(end - from);
    answer.headers["Sforce-Locator"] = end < found->rows.records() ? locator_of(end) : "null";
    answer.pieces = [this, found, form, from, end, rows = std::int64_t(512),
                     started = false](std::string& piece) mutable {
        piece.clear();
        if (started && from >= end) return false;
        const auto lock = org_.read_lock();
        if (!std::exchange(started, true)) piece = found->rows.csv_header(form);
        if (from >= end) return true;
        const std::size_t before = piece.size();
        const std::int64_t taken = std::min(rows, end - from);
        found->append(org_, from, taken, piece, form);
        from += taken;
        const auto row_bytes = static_cast<std::int64_t>((piece.size() - before) / static_cast<std::size_t>(taken)) + 1;
        rows = std::max<std::int64_t>(64, static_cast<std::int64_t>(block_bytes) / row_bytes);
        return true;
    };
    return answer;
}

http::Answer Bulk::result_pages(const Call& call) {
    const auto job = find(queries_, call.args.at(0));
    if (!job || call.result_expired) return not_found();
    progress(*job);
    const std::scoped_lock lock(job->mutex);
    if (job->state != State::JobComplete)
        return wrong_state("Results are not available: the job is in the state " + std::string(name(job->state)) + ".");
    if (job->version != call.version) return wrong_version(call.version, job->version);
    const std::int64_t rows = job->found->rows.records();
    const std::int64_t page = settings_.get().bulk_page_rows;
    std::string pages = "[";
    for (std::int64_t from = 0; from == 0 || from < rows; from += page) {
        if (pages.size() > 1) pages += ',';
        pages += "{";
        append_member(pages, "resultLink",
                      call.base() + "/jobs/query/" + job->id + "/results?maxRecords=" + std::to_string(page) +
                          (from > 0 ? "&locator=" + locator_of(from) : ""));
        pages += "}";
    }
    std::string body = "{";
    append_raw_member(body, "resultPages", pages + "]");
    append_raw_member(body, "nextRecordsUrl", "null");
    append_raw_member(body, "done", "true");
    return json_answer(200, body + "}");
}

// ---- ingest jobs

http::Answer Bulk::create_ingest(const Call& call) {
    const auto parsed = parse_json(call.request.body);
    if (!parsed.ok() || !parsed->is_object())
        return error_answer(400, "JSON_PARSER_ERROR",
                            parsed.ok() ? "The request body must be a JSON object" : parsed.error().what);
    const json::object& body = parsed->as_object();
    const std::string operation = text_at(body, "operation").value_or("");
    constexpr std::string_view operations[] = {"insert", "update", "upsert", "delete", "hardDelete"};
    if (std::find(std::begin(operations), std::end(operations), operation) == std::end(operations))
        return error_answer(400, "INVALIDJOB",
                            "Invalid operation: " + operation + ". Use insert, update, upsert, delete or hardDelete.");
    auto job = std::make_shared<IngestJob>();
    if (auto refusal = read_form(body, job->form)) return *refusal;
    const std::string object_asked = text_at(body, "object").value_or("");
    {
        const auto lock = org_.read_lock();
        const int object = object_named(org_, object_asked);
        if (object < 0) return error_answer(400, "INVALIDENTITY", "Unable to find object: " + object_asked);
        job->object = org_.schema().at(object).name;
        if (!is_in_bulk(job->object))
            return error_answer(400, "INVALIDENTITY", "Entity '" + job->object + "' is not supported by the Bulk API.");
        if (operation == "upsert") {
            const std::string key = text_at(body, "externalIdFieldName").value_or("");
            const int field = key.empty() ? -1 : key_field(org_, object, key);
            if (field < 0)
                return error_answer(400, "INVALIDJOB",
                                    key.empty() ? "externalIdFieldName is required for upsert"
                                                : "Field name provided, " + key +
                                                      " does not match an External ID, Salesforce Id, or indexed field "
                                                      "for " +
                                                      job->object);
            job->key = org_.schema().at(object).fields[field].name;
        }
        job->created = job->changed = org_.now();
    }
    job->id = new_id();
    job->operation = operation;
    job->created_by = call.user;
    job->version = call.version;
    job->fate = call.job_fate;
    job->fate_text = call.job_fate_text;
    const std::string answer = job->json(true);
    keep(ingests_, std::move(job));
    return json_answer(200, answer);
}

http::Answer Bulk::list_ingests(const Call& call) {
    return list(call, ingests_);
}

http::Answer Bulk::ingest_job(const Call& call) {
    return show(call, ingests_);
}

http::Answer Bulk::upload(const Call& call) {
    const auto job = find(ingests_, call.args.at(0));
    if (!job) return not_found();
    if (!starts_with_ignoring_case(call.request.header("Content-Type"), "text/csv"))
        return error_answer(415, "UNSUPPORTED_MEDIA_TYPE", "Content type is not supported: send text/csv.");
    if (call.request.body.size() > upload_bytes_max)
        return error_answer(400, "INVALIDREQUEST", "The upload is larger than 100 MB: split it into several jobs.");
    if (used_today().batches >= batches_max)
        return error_answer(400, "LIMIT_EXCEEDED", "The limit of batches in 24 hours is reached.");
    {
        const std::scoped_lock lock(job->mutex);
        if (job->state != State::Open || job->uploaded)
            return wrong_state("Data can be uploaded once, while the job is Open.");
        job->data = std::make_shared<const std::string>(call.request.body);
        job->uploaded = true;
        csv::Reader reader(*job->data, job->form.sign);
        std::vector<std::string_view> cells;
        if (const auto row = reader.next(cells); row.ok() && *row)
            for (const auto cell : cells) job->columns.emplace_back(trim(cell));
    }
    const Timestamp now = org_now(org_);
    const std::scoped_lock lock(mutex_);
    batches_at_.push_back(now);
    return empty_answer(201);
}

http::Answer Bulk::change_ingest(const Call& call) {
    const auto job = find(ingests_, call.args.at(0));
    if (!job) return not_found();
    const auto parsed = parse_json(call.request.body);
    const std::string asked =
        parsed.ok() && parsed->is_object() ? text_at(parsed->as_object(), "state").value_or("") : "";
    if (asked != "UploadComplete" && asked != "Aborted")
        return error_answer(400, "INVALIDJOB", "An ingest job can be set to the state UploadComplete or Aborted.");
    progress(*job);
    const std::scoped_lock lock(job->mutex);
    const bool allowed = asked == "Aborted" ? !is_over(job->state) : job->state == State::Open;
    if (!allowed) return wrong_state("The state " + asked + " can not follow " + std::string(name(job->state)) + ".");
    job->state = asked == "Aborted" ? State::Aborted : State::UploadComplete;
    job->changed = org_now(org_);
    job->submitted_ms = world_.clock.mono_ms();
    return json_answer(200, job->json(false));
}

http::Answer Bulk::remove_ingest(const Call& call) {
    return remove(call, ingests_);
}

namespace {

/// One column of an upload, resolved.
struct Column {
    std::string field;         ///< canonical name; empty: a parent named by its key
    std::string relationship;  ///< "Account" of "Account.Ext__c"
    std::string parent_type;   ///< "Lead" of "Lead:Who.Ext__c"
    std::string parent_key;
};

/// The column of a header cell; nothing: there is no such field.
std::optional<Column> column_named(const Org& org, int object, std::string_view header) {
    const std::size_t dot = header.find('.');
    if (dot == std::string_view::npos) {
        const int field = field_named(org, object, header);
        if (field < 0) return std::nullopt;
        return Column{.field = org.schema().at(object).fields[field].name};
    }
    Column column;
    column.relationship = std::string(header.substr(0, dot));
    column.parent_key = std::string(header.substr(dot + 1));
    if (const std::size_t colon = column.relationship.find(':'); colon != std::string::npos) {
        column.parent_type = column.relationship.substr(0, colon);
        column.relationship = column.relationship.substr(colon + 1);
    }
    for (const int i : visible_fields(org, object)) {
        const Field& field = org.schema().at(object).fields[i];
        if (field.relationship.empty() || !equals_ignoring_case(field.relationship, column.relationship)) continue;
        std::vector<std::string> targets = field.reference_to;
        if (!column.parent_type.empty()) targets = {column.parent_type};
        for (const auto& target : targets)
            if (const int parent = object_named(org, target);
                parent >= 0 && key_field(org, parent, column.parent_key) >= 0)
                return column;
    }
    return std::nullopt;
}

/// A problem of the upload as a whole; empty: none.
std::string structural_error(const std::string& data, const Form& form) {
    const std::size_t end = data.find('\n');
    const bool crlf = end != std::string::npos && end > 0 && data[end - 1] == '\r';
    if (end != std::string::npos && crlf != form.crlf())
        return "LineEnding is invalid on user data. Current LineEnding setting is " + form.line_ending;
    if (!is_valid_utf8(data)) return "InvalidBatch : The data is not UTF-8";
    csv::Reader reader(data, form.sign);
    std::vector<std::string_view> cells;
    for (;;) {
        const auto more = reader.next(cells);
        if (!more.ok()) return "InvalidBatch : " + more.error().what;
        if (!*more) return "";
    }
}

Input input_of(const std::vector<Column>& columns, const std::vector<std::string_view>& cells) {
    Input input;
    for (std::size_t i = 0; i < columns.size(); ++i) {
        const std::string_view cell = trim(cells[i]);
        if (cell.empty()) continue;  // left alone
        const Cell value = cell == "#N/A" ? Cell() : Cell(std::string(cell));
        if (!columns[i].field.empty()) {
            input.fields.push_back({.name = columns[i].field, .value = value});
        } else if (is_null(value)) {
            input.fields.push_back({.name = columns[i].relationship});
        } else {
            input.fields.push_back(
                {.name = columns[i].relationship,
                 .parent = InputField::Parent{columns[i].parent_type, columns[i].parent_key, value}});
        }
    }
    return input;
}

/// The rows of a result file, joined; in another order when `seed` is not 0.
std::shared_ptr<const std::string> join_lines(std::vector<std::string> lines, std::uint64_t seed) {
    if (seed != 0)
        for (std::size_t i = lines.size(); i > 1; --i) std::swap(lines[i - 1], lines[mix64(seed + i) % i]);
    auto text = std::make_shared<std::string>();
    std::size_t bytes = 0;
    for (const auto& line : lines) bytes += line.size();
    text->reserve(bytes);
    for (const auto& line : lines) *text += line;
    return text;
}

}  // namespace

Bulk::IngestOutcome Bulk::run(const IngestJob& job) {
    IngestOutcome outcome;
    const auto failed = [&](std::string why) {
        outcome.error = std::move(why);
        return outcome;
    };
    if (!job.data || trim(*job.data).empty()) return outcome;
    if (std::string why = structural_error(*job.data, job.form); !why.empty()) return failed(std::move(why));

    csv::Reader reader(*job.data, job.form.sign);
    std::vector<std::string_view> cells;
    check(reader.next(cells).ok(), "the upload was read through before");
    std::vector<Column> columns;
    int object = -1, key = -1;
    {
        const auto lock = org_.read_lock();
        object = object_named(org_, job.object);
        if (object < 0) return failed("InvalidEntity : Unable to find object: " + job.object);
        for (const auto cell : cells) {
            auto column = column_named(org_, object, trim(cell));
            if (!column) return failed("InvalidBatch : Field name not found : " + std::string(trim(cell)));
            columns.push_back(std::move(*column));
        }
        if (!job.key.empty()) key = key_field(org_, object, job.key);
    }
    const bool deletes = job.operation == "delete" || job.operation == "hardDelete";
    if (deletes && (columns.size() != 1 || columns.front().field != "Id"))
        return failed("InvalidBatch : A delete job takes the column Id and no other");

    const http::Request no_request;
    Call call{.request = no_request, .version = job.version, .user = job.created_by};
    std::vector<std::string> succeeded, failures;
    std::set<std::string, std::less<>> keys_of_batch;
    const auto write = [&](const Input& input, std::int64_t row) -> WriteResult {
        const auto refused = [&](const char* code, std::string text, std::vector<std::string> fields) {
            WriteResult result;
            result.errors.push_back({code, std::move(text), std::move(fields)});
            return result;
        };
        if (job.operation == "insert") return rest_.create_one(call, object, input);
        if (job.operation == "update") return rest_.update_one(call, object, input);
        if (job.operation == "upsert") {
            if (row % batch_rows == 0) keys_of_batch.clear();
            const InputField* given = input.find(job.key);
            const auto* text = given ? std::get_if<std::string>(&given->value) : nullptr;
            if (text && !keys_of_batch.insert(fold(*text)).second)
                return refused("DUPLICATE_EXTERNAL_ID", "Duplicate external id specified: " + *text, {job.key});
            return rest_.upsert_one(call, object, key, input);
        }
        const InputField* id = input.find("Id");
        const auto* text = id ? std::get_if<std::string>(&id->value) : nullptr;
        if (!text) return refused("MISSING_ARGUMENT", "Id not specified in a delete call", {"Id"});
        const auto id18 = normalize_id(*text);
        if (!id18 || org_.schema().find_by_prefix(id18->substr(0, 3)) != object)
            return refused(id18 ? "INVALID_CROSS_REFERENCE_KEY" : "MALFORMED_ID",
                           id18 ? "invalid cross reference id" : "malformed id " + *text, {"Id"});
        WriteResult result = rest_.remove_one(call, *id18);
        if (result.ok() && job.operation == "hardDelete") org_.purge(object, *id18);
        return result;
    };
    bool more = true;
    for (std::int64_t row = 0; more;) {
        const auto lock = org_.write_lock();
        for (std::int64_t in_chunk = 0; in_chunk < chunk_rows; ++in_chunk, ++row) {
            more = reader.next(cells).value();
            if (!more) break;
            WriteResult result;
            if (cells.size() != columns.size())
                result.errors.push_back({"MALFORMED_CSV",
                                         "The row has " + std::to_string(cells.size()) + " cells, the header " +
                                             std::to_string(columns.size()),
                                         {}});
            else
                result = write(input_of(columns, cells), row);
            ++outcome.processed;
            std::vector<std::string_view> shown;
            std::string line;
            const std::string error = bulk_error(result);
            shown.emplace_back(result.id);
            if (result.ok()) {
                shown.emplace_back(result.created || job.operation == "insert" ? "true" : "false");
            } else {
                if (job.operation == "insert") shown.front() = "";
                shown.emplace_back(error);
                ++outcome.failed;
            }
            shown.insert(shown.end(), cells.begin(), cells.end());
            append_cells(line, shown, job.form);
            (result.ok() ? succeeded : failures).push_back(std::move(line));
        }
    }
    // On the platform the rows of a job are saved in parallel and listed as they end.
    std::uint64_t seed = 0;
    if (settings_.get().bulk_shuffled)
        for (const char c : job.id) seed = mix64(seed + static_cast<unsigned char>(c)) | 1;
    outcome.succeeded = join_lines(std::move(succeeded), seed);
    outcome.failures = join_lines(std::move(failures), seed);
    return outcome;
}

namespace {

http::Answer csv_answer() {
    http::Answer answer;
    answer.headers["Content-Type"] = "text/csv;charset=UTF-8";
    return answer;
}

std::string header_row(std::vector<std::string_view> first, const std::vector<std::string>& columns, const Form& form) {
    std::string out;
    first.insert(first.end(), columns.begin(), columns.end());
    if (!first.empty()) append_cells(out, first, form);
    return out;
}

}  // namespace

/// A result of an ingest job that has ended; `tell` writes it, under the job's lock.
template <class Tell>
http::Answer Bulk::ended_result(const Call& call, Tell tell) {
    const auto job = find(ingests_, call.args.at(0));
    if (!job || call.result_expired) return not_found();
    progress(*job);
    const std::scoped_lock lock(job->mutex);
    if (!is_over(job->state)) return wrong_state("Results are available when the job has ended.");
    auto answer = csv_answer();
    tell(answer, *job);
    return answer;
}

http::Answer Bulk::successful_results(const Call& call) {
    return ended_result(call, [](http::Answer& answer, const IngestJob& job) {
        send_text(answer, header_row({"sf__Id", "sf__Created"}, job.columns, job.form), job.succeeded);
    });
}

http::Answer Bulk::failed_results(const Call& call) {
    return ended_result(call, [](http::Answer& answer, const IngestJob& job) {
        send_text(answer, header_row({"sf__Id", "sf__Error"}, job.columns, job.form), job.failures);
    });
}

http::Answer Bulk::unprocessed_records(const Call& call) {
    return ended_result(call, [](http::Answer& answer, const IngestJob& job) {
        auto rows = std::make_shared<std::string>();
        if (job.state != State::JobComplete && job.data) {
            csv::Reader reader(*job.data, job.form.sign);
            std::vector<std::string_view> cells;
            bool is_header = true;
            for (auto more = reader.next(cells); more.ok() && *more; more = reader.next(cells))
                if (!std::exchange(is_header, false)) append_cells(*rows, cells, job.form);
        }
        send_text(answer, header_row({}, job.columns, job.form), std::move(rows));
    });
}

}  // namespace lockstep::sandbox
