#include <algorithm>
#include <utility>

#include "http/send.h"

namespace lockstep::http {

namespace {

constexpr std::size_t kPieceBytes = 16u << 10;  // what the network sender gives at most

class LoopbackSender final : public Sender {
public:
    explicit LoopbackSender(Handler handler) : handler_(std::move(handler)) {}

    Result<Response> send(const Request& request, const Limits& limits) override {
        Request received = request;
        received.target = origin_form(request.target);
        Response response = handler_(received);
        if (request.method == "HEAD") response.body.clear();
        if (response.body.size() > limits.body_bytes_max) {
            return Error{.kind = Kind::BadReply,
                         .what = "The answer is larger than the " + to_bytes(limits.body_bytes_max) + " allowed",
                         .hint = "ask for less at once",
                         .code = "BODY_TOO_LARGE"};
        }
        return response;
    }

    Result<Response> stream(const Request& request, const BodySink& sink, const Limits& limits) override {
        Response response = TRY(send(request, limits));
        if (response.status < 200 || response.status > 299) return response;
        const std::string body = std::exchange(response.body, {});
        for (std::size_t at = 0; at < body.size(); at += kPieceBytes) {
            if (!sink(std::string_view(body).substr(at, kPieceBytes))) {
                return Error{.kind = Kind::Cancelled, .what = "The transfer was abandoned by its reader"};
            }
        }
        return response;
    }

private:
    Handler handler_;
};

}  // namespace

std::unique_ptr<Sender> loopback_sender(Handler handler) {
    return std::make_unique<LoopbackSender>(std::move(handler));
}

}  // namespace lockstep::http
