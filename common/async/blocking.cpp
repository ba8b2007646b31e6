#include "common/async/blocking.hpp"

namespace cppvm {

BlockingPool::BlockingPool() = default;

BlockingPool::~BlockingPool() {
    if (pool_) {
        pool_->join();
    }
}

asio::thread_pool& BlockingPool::pool() {
    if (!pool_) {
        pool_ = std::make_unique<asio::thread_pool>(1);
    }
    return *pool_;
}

} // namespace cppvm
